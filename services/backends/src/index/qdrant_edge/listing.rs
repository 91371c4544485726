//! Listing by time of creation, page by page, and scanning by id.

use qdrant_edge::{
    Direction, EdgeShard, Filter as EdgeFilter, OrderBy, OrderByInterface, PointId, Record, ScrollRequest,
    WithPayloadInterface, WithVector, external::uuid::Uuid,
};
use shared::{
    ImageDocument,
    filter::{Field, Operator},
};

use super::{
    super::{DocumentPage, IndexError, Order},
    payload::{key, point_id, time_us, to_document},
    translate::{created, path},
    unavailable,
};

/// The last row of a page: what comes after it is the next page, whatever was inserted meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    order: Order,
    created_us: i64,
    id: Uuid,
}

impl Cursor {
    /// # Errors
    /// `Cursor` when the text is not a cursor, or one of the other order.
    pub(super) fn parse(text: &str, order: Order) -> Result<Self, IndexError> {
        let mut bytes = [0; 25];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| IndexError::Cursor)?;
        let [mark, rest @ ..] = bytes;
        let (created_us, id) = rest.split_at(8);
        if mark != order_mark(order) {
            return Err(IndexError::Cursor);
        }
        Ok(Self {
            order,
            created_us: i64::from_be_bytes(created_us.try_into().map_err(|_| IndexError::Cursor)?),
            id: Uuid::from_slice(id).map_err(|_| IndexError::Cursor)?,
        })
    }

    fn after(document: &ImageDocument, order: Order) -> Option<Self> {
        let PointId::Uuid(id) = point_id(document.image_id) else { return None };
        Some(Self { order, created_us: time_us(document.created), id })
    }

    fn text(self) -> String {
        let mut bytes = vec![order_mark(self.order)];
        bytes.extend(self.created_us.to_be_bytes());
        bytes.extend(self.id.as_bytes());
        hex::encode(bytes)
    }
}

fn order_mark(order: Order) -> u8 {
    match order {
        Order::Newest => b'n',
        Order::Oldest => b'o',
    }
}

/// One page: by time of creation, those of the same microsecond by id.
pub(super) fn list(
    shard: &EdgeShard,
    filter: Option<&EdgeFilter>,
    order: Order,
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<DocumentPage, IndexError> {
    let beyond = match order {
        Order::Newest => Operator::Less,
        Order::Oldest => Operator::Greater,
    };
    // One more than asked for says whether there is a next page.
    let wanted = limit + 1;
    let mut documents = Vec::new();
    if let Some(cursor) = cursor {
        documents = made_at(shard, filter, cursor.created_us, Some(cursor.id), wanted)?;
    }
    let rest = cursor.map(|cursor| created(filter, beyond, cursor.created_us)).or_else(|| filter.cloned());
    if documents.len() < wanted {
        let room = wanted - documents.len();
        documents.extend(in_order(shard, rest, filter, order, room)?);
    }
    let next = (documents.len() > limit).then(|| documents.get(limit.checked_sub(1)?)).flatten();
    let next_cursor = next.and_then(|last| Cursor::after(last, order)).map(Cursor::text);
    documents.truncate(limit);
    Ok(DocumentPage { documents, next_cursor })
}

/// The first `room` documents. qdrant orders by time alone, so the last time in its answer may be cut off anywhere:
/// the images of that time are asked for again, by id.
fn in_order(
    shard: &EdgeShard,
    rest: Option<EdgeFilter>,
    filter: Option<&EdgeFilter>,
    order: Order,
    room: usize,
) -> Result<Vec<ImageDocument>, IndexError> {
    let direction = match order {
        Order::Newest => Direction::Desc,
        Order::Oldest => Direction::Asc,
    };
    let order_by = OrderBy { key: path(&key(&Field::Created)), direction: Some(direction), start_from: None };
    let request = ScrollRequest { order_by: Some(OrderByInterface::Struct(order_by)), ..request(rest, None, room) };
    let mut documents = read(shard, request)?;
    documents.sort_by(|left, right| by_time_then_id(left, right, order));
    let last_us = documents.last().map(|last| time_us(last.created));
    if let Some(last_us) = last_us.filter(|_| documents.len() >= room) {
        documents.retain(|document| time_us(document.created) != last_us);
        documents.extend(made_at(shard, filter, last_us, None, room - documents.len())?);
    }
    Ok(documents)
}

fn by_time_then_id(left: &ImageDocument, right: &ImageDocument, order: Order) -> std::cmp::Ordering {
    let by_time = time_us(left.created).cmp(&time_us(right.created));
    let by_time = if order == Order::Newest { by_time.reverse() } else { by_time };
    by_time.then(point_id(left.image_id).cmp(&point_id(right.image_id)))
}

/// Images made in one microsecond, by id, after that of `after`.
fn made_at(
    shard: &EdgeShard,
    filter: Option<&EdgeFilter>,
    created_us: i64,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<ImageDocument>, IndexError> {
    let first = after.map(|id| PointId::Uuid(Uuid::from_u128(id.as_u128().saturating_add(1))));
    read(shard, request(Some(created(filter, Operator::Equal, created_us)), first, limit))
}

/// Up to `limit` documents by id from `first` on, and where to go on.
pub(super) fn scan(
    shard: &EdgeShard,
    first: Option<PointId>,
    limit: usize,
) -> Result<(Vec<ImageDocument>, Option<PointId>), IndexError> {
    let (records, next) = scroll(shard, request(None, first, limit))?;
    Ok((to_documents(&records)?, next))
}

fn read(shard: &EdgeShard, request: ScrollRequest) -> Result<Vec<ImageDocument>, IndexError> {
    to_documents(&scroll(shard, request)?.0)
}

fn scroll(shard: &EdgeShard, request: ScrollRequest) -> Result<(Vec<Record>, Option<PointId>), IndexError> {
    shard.scroll(request).map_err(|source| unavailable("cannot list the index", source))
}

fn to_documents(records: &[Record]) -> Result<Vec<ImageDocument>, IndexError> {
    records.iter().map(|record| to_document(record.payload.as_ref())).collect()
}

fn request(filter: Option<EdgeFilter>, offset: Option<PointId>, limit: usize) -> ScrollRequest {
    ScrollRequest {
        offset,
        limit: Some(limit),
        filter,
        with_payload: Some(WithPayloadInterface::Bool(true)),
        with_vector: WithVector::Bool(false),
        order_by: None,
    }
}
