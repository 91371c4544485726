//! A collection on the server: its name, its columns, whose it is, and how it is made and loaded.

use std::{collections::HashMap, fmt::Write, time::Duration};

use milvus::v2::{
    CollectionSchema, ConsistencyLevel, DataType, FieldSchema, IndexParam, IndexType, LoadState, MetricType,
    request::{
        collection::{
            CreateCollectionRequest, DescribeCollectionRequest, GetLoadStateRequest, HasCollectionRequest,
            LoadCollectionRequest,
        },
        dql::QueryRequest,
        index::{CreateIndexRequest, DescribeIndexRequest},
    },
};
use serde::{Deserialize, Serialize};
use shared::{ModelFingerprint, StoreId, config};
use tokio::time::{Instant, sleep};

use super::{
    super::{CollectionSpec, IndexError},
    client::{Client, is_index_not_found, unavailable},
    row::{
        ASPECT_RATIO, CAPTURED, CREATED, DOCUMENT, DOCUMENT_BYTES, HEIGHT, ID, NUMBERS, SIZE_BYTES, TERM_COLUMNS,
        VECTOR, VERSION, WIDTH, terms_column,
    },
    translate::NOTHING,
};

/// Grows when columns are laid out in another way; an older collection is rebuilt.
const SCHEMA_VERSION: u32 = 1;

const ID_LENGTH: u32 = 64;
/// Milvus's own bound on a text, in bytes. Metadata are bounded well below it (`metadata`).
const DOCUMENT_LENGTH: u32 = 65_535;

/// How long a large collection may take to be loaded.
const LOADING: Duration = Duration::from_mins(5);
const LOADING_POLL: Duration = Duration::from_millis(100);

/// For which store and model a collection was made: JSON in its description.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    schema_version: u32,
    store: StoreId,
    pub(super) model: ModelFingerprint,
    dimension: usize,
}

impl Identity {
    pub(super) fn of(spec: &CollectionSpec) -> Self {
        Self { schema_version: SCHEMA_VERSION, store: spec.store, model: spec.model.clone(), dimension: spec.dimension }
    }
}

/// The name of a model's collection: prefix and fingerprint, what Milvus doesn't take in a name as its hexadecimal code
/// between two `_`. No two models have the same one.
pub(super) fn collection_name(prefix: &str, model: &ModelFingerprint) -> String {
    let mut name = escaped(prefix, |character| character == '_');
    name.push('_');
    name + &escaped(&model.0, |_| false)
}

fn escaped(text: &str, also_kept: impl Fn(char) -> bool) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || also_kept(character) {
            escaped.push(character);
        } else {
            // Writing to a text can't fail.
            let _ = write!(escaped, "_{:x}_", u32::from(character));
        }
    }
    escaped
}

pub(super) async fn exists(client: &Client, name: &str) -> Result<bool, IndexError> {
    let found = client.call("cannot look for a collection", async {
        client.sdk.has_collection(HasCollectionRequest::builder().collection_name(name).build()?).await
    });
    Ok(found.await?.exists())
}

/// Whose a collection is; `None` when nothing in it says so.
pub(super) async fn identity(client: &Client, name: &str) -> Result<Option<Identity>, IndexError> {
    let described = client.call("cannot describe a collection", async {
        client.sdk.describe_collection(DescribeCollectionRequest::builder().collection_name(name).build()?).await
    });
    let described = described.await?;
    Ok(serde_json::from_str(described.description().get_schema().get_description()).ok())
}

/// Makes an empty collection. Whoever makes the same at the same time gets the same.
pub(super) async fn create(client: &Client, name: &str, spec: &CollectionSpec) -> Result<(), IndexError> {
    let text = |name: &str, length| FieldSchema::new().name(name).data_type(DataType::VarChar).max_length(length);
    let of = |name: String, data_type| FieldSchema::new().name(name).data_type(data_type);
    let dimension = u32::try_from(spec.dimension).map_err(|error| unavailable("the dimension is too large", error))?;
    let mut schema = CollectionSchema::new()
        .description(serde_json::to_string(&Identity::of(spec)).map_err(|error| unavailable("no identity", error))?)
        .add_field(text(ID, ID_LENGTH).primary_key(true))
        .add_field(of(VECTOR.into(), DataType::FloatVector).dimension(dimension))
        .add_field(text(DOCUMENT, DOCUMENT_LENGTH));
    for column in [VERSION, DOCUMENT_BYTES, CREATED, CAPTURED] {
        schema = schema.add_field(of(column.into(), DataType::Int64));
    }
    for column in [WIDTH, HEIGHT, ASPECT_RATIO, SIZE_BYTES] {
        schema = schema.add_field(of(column.into(), DataType::Double));
    }
    for column in (0..TERM_COLUMNS).map(terms_column).chain([NUMBERS.into()]) {
        schema = schema.add_field(of(column, DataType::Json));
    }
    let created = client.call("cannot make a collection", async {
        let request = CreateCollectionRequest::builder()
            .collection_name(name)
            .schema(schema)
            // A read waits for every shard, and one takes more images a second than are embedded.
            .num_shards(1)
            .consistency_level(ConsistencyLevel::Strong);
        client.sdk.create_collection(request.build()?).await
    });
    created.await
}

/// Makes the indexes that are missing. One that is there keeps the settings that it was made with.
pub(super) async fn create_indexes(client: &Client, name: &str, settings: &config::Milvus) -> Result<(), IndexError> {
    let graph = HashMap::from([
        ("M".to_owned(), settings.hnsw_m.to_string()),
        ("efConstruction".to_owned(), settings.hnsw_ef_construction.to_string()),
    ]);
    let vectors = IndexParam::new()
        .field_name(VECTOR)
        .index_name(VECTOR)
        .index_type(IndexType::Hnsw)
        .metric_type(MetricType::Cosine)
        .extra_params(graph);
    let created = IndexParam::new().field_name(CREATED).index_name(CREATED).index_type(IndexType::StlSort);
    for index in [vectors, created] {
        let made = client.call("cannot index a collection", async {
            let wanted = DescribeIndexRequest::builder().collection_name(name).field_name(index.get_field_name());
            match client.sdk.describe_index(wanted.build()?).await {
                Err(error) if is_index_not_found(&error) => {
                    let request = CreateIndexRequest::builder().collection_name(name).index_param(index).sync(false);
                    client.sdk.create_index(request.build()?).await
                }
                found => found.map(drop),
            }
        });
        made.await?;
    }
    Ok(())
}

/// Loads a collection and waits until it answers. Just after a restart of the server, that is a while after it says so.
pub(super) async fn load(client: &Client, name: &str, replicas: u64) -> Result<(), IndexError> {
    let patience = Instant::now() + LOADING;
    let mut is_asked = false;
    loop {
        let not_yet = match load_state(client, name).await? {
            LoadState::Loaded => match probe(client, name).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            LoadState::NotExist => return Err(unavailable(format!("collection {name} was removed"), "open it again")),
            state => {
                if state == LoadState::NotLoad && !is_asked {
                    request_load(client, name, replicas).await?;
                    is_asked = true;
                }
                unavailable(format!("collection {name} is still being loaded"), "try again later")
            }
        };
        if Instant::now() > patience {
            return Err(not_yet);
        }
        sleep(LOADING_POLL).await;
    }
}

/// Whether a collection is loaded and answers. One that is not loaded is told to be, as after somebody released it.
pub(super) async fn check_searchable(client: &Client, name: &str, replicas: u64) -> Result<(), IndexError> {
    match load_state(client, name).await? {
        LoadState::Loaded => return probe(client, name).await,
        LoadState::NotLoad => request_load(client, name, replicas).await?,
        _ => {}
    }
    Err(unavailable(format!("collection {name} is not loaded yet"), "try again later"))
}

async fn load_state(client: &Client, name: &str) -> Result<LoadState, IndexError> {
    let state = client.call("cannot see whether a collection is loaded", async {
        client.sdk.get_load_state(GetLoadStateRequest::builder().collection_name(name).build()?).await
    });
    Ok(state.await?.state())
}

async fn request_load(client: &Client, name: &str, replicas: u64) -> Result<(), IndexError> {
    let replicas = i32::try_from(replicas).unwrap_or(i32::MAX);
    let requested = client.call("cannot load a collection", async {
        let request = LoadCollectionRequest::builder().collection_name(name).replica_number(replicas).sync(false);
        client.sdk.load_collection(request.build()?).await
    });
    requested.await
}

/// A read that waits for everything written before: after a restart, "loaded" is said long before it is true.
async fn probe(client: &Client, name: &str) -> Result<(), IndexError> {
    let answered = client.call("a loaded collection does not answer", async {
        let request = QueryRequest::builder()
            .collection_name(name)
            .filter(NOTHING)
            .output_fields([ID])
            .limit(1)
            .consistency_level(ConsistencyLevel::Strong);
        client.sdk.query(request.build()?).await
    });
    answered.await.map(drop)
}
