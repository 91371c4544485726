//! Listing by time of creation, page by page.
//!
//! Milvus has no order but that of the ids, so a page is the rows of a window of time that is sought first, by counting:
//! at least as many rows as are wanted, and few enough to be put in order here.

use jiff::Timestamp;
use shared::ImageId;

use super::{
    super::{DocumentPage, IndexError, Order},
    client::unavailable,
    reading::{Listed, Reader},
    translate::{after, all, created_within},
};

/// Rows that a window is to have at most; only ids, times and lengths are read of them.
const WINDOW_ROWS: u64 = 4096;
/// Milvus's own bound on one answer.
const MAX_ROWS: usize = 16_384;

/// The last row of a page: what comes after it is the next page, whatever was inserted meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    order: Order,
    created_us: i64,
    image_id: ImageId,
}

impl Cursor {
    /// # Errors
    /// `Cursor` when the text is not a cursor, or one of the other order.
    pub(super) fn parse(text: &str, order: Order) -> Result<Self, IndexError> {
        let mut bytes = [0; 41];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| IndexError::Cursor)?;
        let [mark, rest @ ..] = bytes;
        let (created_us, digest) = rest.split_at(8);
        if mark != order_mark(order) {
            return Err(IndexError::Cursor);
        }
        Ok(Self {
            order,
            created_us: i64::from_be_bytes(created_us.try_into().map_err(|_| IndexError::Cursor)?),
            image_id: ImageId::from_digest(digest.try_into().map_err(|_| IndexError::Cursor)?),
        })
    }

    fn text(self) -> String {
        let mut bytes = vec![order_mark(self.order)];
        bytes.extend(self.created_us.to_be_bytes());
        bytes.extend(self.image_id.digest());
        hex::encode(bytes)
    }
}

fn order_mark(order: Order) -> u8 {
    match order {
        Order::Newest => b'n',
        Order::Oldest => b'o',
    }
}

/// What is listed. Places are times in the order of the list: microseconds, counted downwards when the newest come first.
pub(super) struct Listing<'a> {
    pub(super) reader: &'a Reader,
    pub(super) expression: Option<String>,
    pub(super) order: Order,
}

/// The places from the first on that a step of the list looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    /// Up to this place, few enough to be put in order here.
    UpTo(i64),
    /// A single place with more rows than that; they are read in the order of ids.
    Crowded,
}

impl Listing<'_> {
    pub(super) async fn page(&self, cursor: Option<Cursor>, limit: usize) -> Result<DocumentPage, IndexError> {
        // One more than asked for says whether there is a next page.
        let mut rows = self.rows(cursor, limit + 1).await?;
        let next_cursor = (rows.len() > limit).then(|| {
            rows.truncate(limit);
            let last = rows.last()?;
            Some(Cursor { order: self.order, created_us: last.created_us, image_id: last.image_id }.text())
        });
        let wanted: Vec<_> = rows.iter().map(|row| (row.image_id, row.document_bytes)).collect();
        Ok(DocumentPage { documents: self.reader.documents(&wanted).await?, next_cursor: next_cursor.flatten() })
    }

    /// The first `wanted` rows after the cursor, in order.
    async fn rows(&self, cursor: Option<Cursor>, wanted: usize) -> Result<Vec<Listed>, IndexError> {
        let times = [Timestamp::MIN, Timestamp::MAX].map(|time| self.place(time.as_microsecond()));
        let (mut first, end) = (times[0].min(times[1]), times[0].max(times[1]));
        let mut rows = Vec::new();
        if let Some(cursor) = cursor {
            let place = self.place(cursor.created_us);
            rows = self.rows_at(place, Some(cursor.image_id), wanted).await?;
            first = place.saturating_add(1);
        }
        while rows.len() < wanted && first <= end {
            let missing = wanted - rows.len();
            first = match self.window(first, end, missing as u64).await? {
                Window::UpTo(last) => {
                    let mut within = self.rows_within(first, last).await?;
                    within.truncate(missing);
                    rows.extend(within);
                    last.saturating_add(1)
                }
                Window::Crowded => {
                    rows.extend(self.rows_at(first, None, missing).await?);
                    first.saturating_add(1)
                }
            };
        }
        Ok(rows)
    }

    /// Seeks places from `first` on with at least `wanted` rows and at most `WINDOW_ROWS`; fewer when there are no more.
    /// The counts are hints: what counts is what is read afterwards.
    async fn window(&self, first: i64, end: i64, wanted: u64) -> Result<Window, IndexError> {
        if self.about(first, end).await? <= WINDOW_ROWS {
            return Ok(Window::UpTo(end));
        }
        // Up to the place before `few` there are too few, up to `many` too many.
        let (mut few, mut many) = (first, end);
        while few < many {
            let middle = few.midpoint(many);
            match self.about(first, middle).await? {
                count if count < wanted => few = middle + 1,
                count if count > WINDOW_ROWS => many = middle,
                _ => return Ok(Window::UpTo(middle)),
            }
        }
        Ok(if few == first { Window::Crowded } else { Window::UpTo(few - 1) })
    }

    async fn about(&self, first: i64, last: i64) -> Result<u64, IndexError> {
        self.reader.count_about(&self.within(first, last)).await
    }

    /// All rows of these places, in order.
    async fn rows_within(&self, first: i64, last: i64) -> Result<Vec<Listed>, IndexError> {
        let mut rows = self.reader.listed(self.within(first, last), MAX_ROWS).await?;
        if rows.len() == MAX_ROWS {
            return Err(unavailable("cannot list the index", "too many images were written meanwhile; try again"));
        }
        // They come in the order of ids, which those of one time keep.
        rows.sort_by_key(|row| self.place(row.created_us));
        Ok(rows)
    }

    /// The first rows of one place after an image, in the order of ids.
    async fn rows_at(&self, place: i64, last: Option<ImageId>, limit: usize) -> Result<Vec<Listed>, IndexError> {
        let parts = std::iter::once(self.within(place, place)).chain(last.map(after));
        self.reader.listed(all(parts), limit).await
    }

    fn within(&self, first: i64, last: i64) -> String {
        let (one, other) = (self.place(first), self.place(last));
        all(std::iter::once(created_within(one.min(other), one.max(other))).chain(self.expression.clone()))
    }

    /// From time to place, and back.
    fn place(&self, created_us: i64) -> i64 {
        match self.order {
            Order::Newest => -created_us,
            Order::Oldest => created_us,
        }
    }
}
