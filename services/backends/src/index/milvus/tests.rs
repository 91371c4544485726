#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use camino::Utf8Path;
use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use milvus::v2::{
    IndexDesc, IndexType, MetricType,
    request::{database::CreateDatabaseRequest, index::DescribeIndexRequest, utility::FlushRequest},
};
use serde_json::json;
use shared::{ImageDocument, ImageId, Version, config::Secret, filter::parse};
use tokio::{runtime::Handle, task::block_in_place};

use super::{
    super::{ListQuery, Order, Point, conformance::*},
    schema::collection_name,
    server::{self, Fresh, answers},
    *,
};

mod away;

conformance!(fresh);

fn fresh() -> Opened {
    let fresh = block_in_place(|| Handle::current().block_on(Fresh::open()));
    Opened { index: fresh.index.clone(), _kept: Box::new(fresh) }
}

fn points(documents: &[ImageDocument]) -> Vec<Point> {
    documents.iter().map(|document| Point { vector: vector(0.0), document: document.clone() }).collect()
}

/// What the other process does: searches for each name that it is told, and says how often it found it first.
#[tokio::test]
#[ignore = "started by a_point_is_found_by_another_process_as_soon_as_it_is_written"]
async fn search_for_what_is_told() {
    let Ok(told) = std::env::var("IMAGESEARCH_TEST_MILVUS_INDEX") else { return };
    let (url, prefix) = told.split_once(' ').unwrap();
    let settings = config::Milvus { url: url.into(), collection_prefix: prefix.into(), ..config::Milvus::default() };
    let collection = collection(&MilvusIndex::open(&settings).await.unwrap()).await;
    println!("\nopened");
    for line in std::io::stdin().lines() {
        let (name, radians) = line.as_ref().unwrap().rsplit_once(' ').unwrap();
        let hits = collection.search(&query(&vector(radians.parse().unwrap()), 0, 1)).await.unwrap();
        let found = hits.first().is_some_and(|hit| hit.document.image_id == ImageId::of(name.as_bytes()));
        println!("\nfound {name} {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_is_found_by_another_process_as_soon_as_it_is_written() {
    let fresh = Fresh::open().await;
    let collection = collection(&*fresh.index).await;
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "index::milvus::tests::search_for_what_is_told"])
        .env("IMAGESEARCH_TEST_MILVUS_INDEX", format!("{} {}", fresh.settings.url, fresh.settings.collection_prefix))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut tell = other.stdin.take().unwrap();
    let mut answers = BufReader::new(other.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(answers.any(|line| line == "opened"));
    for number in 0..30_u8 {
        let (name, radians) = (format!("told {number}"), f32::from(number) / 20.0);
        collection.upsert(&[point(&name, radians)]).await.unwrap();
        writeln!(tell, "{name} {radians}").unwrap();
        let answer = answers.find(|line| line.starts_with("found ")).unwrap();
        assert_eq!(answer, format!("found {name} true"));
    }
    drop(tell);
    assert!(other.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_sees_every_change_at_once() {
    let fresh = Fresh::open().await;
    let other = MilvusIndex::open(&fresh.settings).await.unwrap();
    let (writing, reading) = tokio::join!(collection(&*fresh.index), collection(&other));
    let mut point = point("a", 0.0);
    for version in 1..=10 {
        point.document.version = Version(version);
        writing.upsert(std::slice::from_ref(&point)).await.unwrap();
        assert_eq!(reading.get(point.document.image_id).await.unwrap().unwrap().document, point.document);
        point.document.metadata.caption = Some(format!("caption{version}"));
        assert!(writing.set_document(&point.document).await.unwrap());
        let filter = parse(&format!("caption:caption{version}")).unwrap();
        assert_eq!(reading.count(Some(&filter)).await.unwrap(), 1);
        writing.delete(&[point.document.image_id]).await.unwrap();
        assert_eq!(reading.count(None).await.unwrap(), 0);
    }
}

async fn until_ready(index: &MilvusIndex) {
    let started = Instant::now();
    while let Err(error) = index.ready().await {
        assert!(started.elapsed() < Duration::from_mins(2), "Milvus is not ready: {error:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate_and_a_user_is_reached_with_them_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap();
    servers::certificates(folder.path());
    let environment =
        [("MILVUS_TLS_FOLDER", path.as_str()), ("MILVUS_TLS_MODE", "2"), ("MILVUS_AUTHORIZATION", "true")];
    let server = servers::milvus(&environment).await;
    let settings = config::Milvus {
        url: server.url().replace("http:", "https:"),
        user: Some("root".into()),
        password: Some(Secret::new("Milvus")),
        ca_file: Some(path.join("ca.pem")),
        certificate_file: Some(path.join("client.pem")),
        key_file: Some(path.join("client.key")),
        ..config::Milvus::default()
    };
    answers(&settings).await;

    let index = MilvusIndex::open(&settings).await.unwrap();
    index
        .client
        .sdk
        .create_database(CreateDatabaseRequest::builder().database_name("own").build().unwrap())
        .await
        .unwrap();
    let with_token = config::Milvus {
        database: "own".into(),
        token: Some(Secret::new("root:Milvus")),
        user: None,
        password: None,
        ..settings.clone()
    };
    let own = MilvusIndex::open(&with_token).await.unwrap();
    collection(&own).await.upsert(&[point("a", 0.0)]).await.unwrap();
    assert_eq!(own.collections().await.unwrap(), [spec().model]);
    assert_eq!(index.collections().await.unwrap(), [], "collections of another database");

    let settings = config::Milvus { timeout_ms: 2000, ..settings };
    let refused = [
        config::Milvus { certificate_file: None, key_file: None, ..settings.clone() },
        config::Milvus { ca_file: None, ..settings.clone() },
        config::Milvus { user: None, password: None, ..settings.clone() },
        config::Milvus { password: Some(Secret::new("not the password")), ..settings },
    ];
    for settings in refused {
        let error = async { MilvusIndex::open(&settings).await?.ready().await }.await.unwrap_err();
        assert!(matches!(error, IndexError::Unavailable { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("not the password"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_more_bytes_than_a_reply_holds_are_written_found_and_listed() {
    let fresh = Fresh::open().await;
    let collection = collection(&*fresh.index).await;
    let documents: Vec<_> = (0..1000)
        .map(|number| {
            let mut document = document(&format!("large {number}"));
            document.created = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number);
            document.metadata.caption = Some("x".repeat(16_000));
            document
        })
        .collect();
    collection.upsert(&points(&documents)).await.unwrap();
    let page = collection.list(&ListQuery { limit: 1000, order: Order::Oldest, ..ListQuery::default() }).await.unwrap();
    assert!(page.documents == documents);
    let hits = collection.search(&query(&vector(0.0), 0, 1000)).await.unwrap();
    assert_eq!(hits.len(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_finds_its_pages_among_more_images_than_fit_into_a_window() {
    let fresh = Fresh::open().await;
    let collection = collection(&*fresh.index).await;
    // A bulk upload of one moment between others of many moments.
    let documents: Vec<_> = (0..8000_i64)
        .map(|number| {
            let mut document = document(&format!("many {number}"));
            document.created = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(number.clamp(1000, 6000));
            document
        })
        .collect();
    collection.upsert(&points(&documents)).await.unwrap();
    for order in [Order::Newest, Order::Oldest] {
        let mut expected: Vec<_> = documents.iter().map(|document| (document.created, document.image_id)).collect();
        expected.sort_by(|left, right| match order {
            Order::Newest => right.0.cmp(&left.0).then(left.1.cmp(&right.1)),
            Order::Oldest => left.cmp(right),
        });
        let mut query = ListQuery { limit: 900, order, ..ListQuery::default() };
        let mut listed = Vec::new();
        loop {
            let page = collection.list(&query).await.unwrap();
            listed.extend(ids(&page.documents));
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        assert!(listed.iter().eq(expected.iter().map(|(_, image_id)| image_id)), "{order:?}");
    }
}

/// Metadata are bounded to 16 KiB of JSON; whatever is in there has to fit into the columns.
#[tokio::test(flavor = "multi_thread")]
async fn the_most_terms_that_metadata_can_make_fit() {
    let fresh = Fresh::open().await;
    let collection = collection(&*fresh.index).await;
    let words = (0..5400_u32).filter_map(|number| char::from_u32(0x4e00 + number)).map(|word| format!("{word} "));
    let mut in_a_field = document("words in a field with a long name");
    in_a_field.metadata.fields.insert("n".repeat(64), json!(words.clone().take(4000).collect::<String>()));
    let mut in_fields = document("many fields");
    in_fields.metadata.fields = (0..1300).map(|number| (format!("{number}"), json!("a"))).collect();
    let mut numbers = document("many numbers");
    numbers.metadata.fields = (0..1300).map(|number| (format!("{number}"), json!(1.5e200))).collect();
    for document in [in_a_field, in_fields, numbers] {
        collection.upsert(&points(std::slice::from_ref(&document))).await.unwrap();
        let (name, value) = document.metadata.fields.iter().next_back().unwrap();
        let filter = match value.as_str() {
            Some(text) => format!("fields.\"{name}\":\"{}\"", text.split(' ').next().unwrap()),
            None => format!("fields.\"{name}\" > 1e199"),
        };
        let filter = parse(&filter).unwrap();
        assert!(filter.matches(&document));
        let found =
            collection.list(&ListQuery { filter: Some(filter), limit: 5, ..ListQuery::default() }).await.unwrap();
        assert_eq!(ids(&found.documents), [document.image_id], "{:?}", document.name);
    }
}

/// The index of the vectors, as the server describes it.
async fn graph(fresh: &Fresh) -> IndexDesc {
    let name = fresh.index.name(&spec().model);
    let wanted = DescribeIndexRequest::builder().collection_name(name).field_name("vector");
    fresh.index.client.sdk.describe_index(wanted.build().unwrap()).await.unwrap().indexes()[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_graph_is_made_as_the_settings_say() {
    let settings = config::Milvus { hnsw_m: 24, hnsw_ef_construction: 321, ..server::settings().await };
    let fresh = Fresh { index: Arc::new(MilvusIndex::open(&settings).await.unwrap()), settings };
    collection(&*fresh.index).await;
    let graph = graph(&fresh).await;
    assert_eq!((graph.get_index_type(), graph.get_metric_type()), (IndexType::Hnsw, MetricType::Cosine));
    let parameters = graph.get_extra_params();
    assert_eq!((parameters["M"].as_str(), parameters["efConstruction"].as_str()), ("24", "321"), "{parameters:?}");
}

/// Seals what was written and waits until all of it is in a graph: tests otherwise see only segments that still grow.
async fn seal(fresh: &Fresh, rows: i64) {
    let name = fresh.index.name(&spec().model);
    let flush = FlushRequest::builder().collection_names([name.as_str()]).wait_flushed_ms(60_000);
    fresh.index.client.sdk.flush(flush.build().unwrap()).await.unwrap();
    let started = Instant::now();
    loop {
        let index = graph(fresh).await;
        if index.get_indexed_rows() >= rows && index.get_pending_rows() == 0 {
            return;
        }
        assert!(started.elapsed() < Duration::from_mins(2), "{index:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_and_indexed_images_are_found_filtered_listed_and_changed_as_before() {
    const COUNT: u32 = 3000;
    let fresh = Fresh::open().await;
    let collection = collection(&*fresh.index).await;
    let mut points: Vec<_> = (0..COUNT).map(|number| point(&number.to_string(), number as f32 / 1000.0)).collect();
    for (number, point) in points.iter_mut().enumerate() {
        point.document.created = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number as i64);
        point.document.metadata.tags = vec![format!("tag {}", number % 7)];
        point.document.facts = (number % 3 > 0).then(|| facts(number as u32, 10, number % 2 == 0));
        point.document.metadata.fields.insert("rating".into(), json!(number % 5));
    }
    collection.upsert(&points).await.unwrap();
    seal(&fresh, COUNT.into()).await;

    let filters = [
        "tags:\"tag 3\" AND width > 100.5 AND NOT fields.rating = 2",
        "created >= 1970-01-01T00:10:00Z AND NOT width < 700",
        "partial = true OR name:17",
        "fields.rating:* AND NOT captured:*",
    ];
    for filter in filters.map(|text| parse(text).unwrap()) {
        let expected = points.iter().filter(|point| filter.matches(&point.document)).count();
        assert_eq!(collection.count(Some(&filter)).await.unwrap(), expected as u64, "{filter}");
    }
    let mut found = 0;
    for point in points.iter().step_by(100) {
        let hits = collection.search(&query(&point.vector, 0, 10)).await.unwrap();
        found += usize::from(ids(hits.iter().map(|hit| &hit.document)).contains(&point.document.image_id));
    }
    assert!(found >= 27, "the graph finds {found} of 30");
    let page = collection.list(&ListQuery { limit: 1000, ..ListQuery::default() }).await.unwrap();
    assert_eq!(ids(&page.documents), ids(points.iter().rev().take(1000).map(|point| &point.document)));
    assert_eq!(collection.scan().try_collect::<Vec<_>>().await.unwrap().len(), COUNT as usize);

    let (deleted, changed) = (points[0].document.image_id, &mut points[1].document);
    changed.version = Version(2);
    assert!(collection.set_document(changed).await.unwrap());
    collection.delete(&[deleted]).await.unwrap();
    assert_eq!(collection.get(changed.image_id).await.unwrap().unwrap().document, *changed);
    assert_eq!(collection.get(deleted).await.unwrap(), None);
    assert_eq!(collection.count(None).await.unwrap(), u64::from(COUNT) - 1);
}

#[test]
fn a_name_is_made_of_what_milvus_takes_and_of_one_model_alone() {
    let name = |prefix: &str, model: &str| collection_name(prefix, &ModelFingerprint(model.into()));
    assert_eq!(name("imagesearch", "0123456789abcdef"), "imagesearch_0123456789abcdef");
    assert_eq!(name("my-stack", "a-b"), "my_2d_stack_a_2d_b");
    assert_ne!(name("p", "a_2d_b"), name("p", "a-b"));
    assert_ne!(name("p", "é"), name("p", "e9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_of_a_prefix_that_begins_with_ours_are_not_ours() {
    let ours = Fresh::open().await;
    let settings = config::Milvus {
        collection_prefix: format!("{}_other", ours.settings.collection_prefix),
        ..ours.settings.clone()
    };
    let theirs = Fresh { index: Arc::new(MilvusIndex::open(&settings).await.unwrap()), settings };
    theirs.index.open(&spec()).await.unwrap();
    assert_eq!(ours.index.collections().await.unwrap(), []);
    assert_eq!(theirs.index.collections().await.unwrap(), [spec().model]);
}
