//! What every object store promises, written against the port. `open` gives a fresh, empty store.

use std::sync::Arc;

use bytes::Bytes;
use futures::{TryStreamExt, future::join_all};

use super::{ETag, ObjectError, ObjectKey, ObjectStore, ObjectStream, PutCondition};

type Store = Arc<dyn ObjectStore>;

/// Every adapter must pass this.
pub(crate) async fn conformance<F: AsyncFn() -> Store>(open: F) {
    what_is_put_is_read_back(open().await).await;
    an_absent_object_is_no_error(open().await).await;
    a_condition_that_does_not_hold_changes_nothing(open().await).await;
    of_many_who_swap_at_once_each_counts_once(open().await).await;
    every_write_has_another_tag(open().await).await;
    a_staged_object_appears_only_when_it_is_committed(open().await).await;
    a_large_object_streams_in_and_out(open().await).await;
    a_range_gives_those_bytes(open().await).await;
    a_reader_sees_one_object_whole_while_it_is_replaced(open().await).await;
    a_listing_is_in_the_order_of_keys(open().await).await;
    a_listing_goes_on_after_a_key(open().await).await;
    a_listing_survives_deletes_on_the_way(open().await).await;
    a_read_past_its_limit_is_refused(open().await).await;
    a_store_is_ready(open().await).await;
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).expect("a key")
}

async fn put(store: &Store, at: &str, text: &str) -> ETag {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    store.put(&key(at), bytes, PutCondition::None).await.expect("put")
}

async fn get(store: &Store, at: &str) -> Option<Bytes> {
    store.get(&key(at), 1 << 20).await.expect("get").map(|(_, bytes)| bytes)
}

async fn keys(store: &Store, prefix: &str, start_after: Option<&str>) -> Vec<String> {
    let start_after = start_after.map(key);
    let listed: Vec<_> = store.list(prefix, start_after.as_ref()).try_collect().await.expect("list");
    listed.into_iter().map(|info| info.key.to_string()).collect()
}

async fn collect(stream: ObjectStream) -> Vec<u8> {
    stream
        .try_fold(Vec::new(), async |mut all, chunk| {
            all.extend(chunk);
            Ok(all)
        })
        .await
        .expect("stream")
}

/// Bytes that differ everywhere, so that a piece in the wrong place shows.
fn pattern(size_bytes: usize) -> Bytes {
    (0..size_bytes).map(|position| (position.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

async fn what_is_put_is_read_back(store: Store) {
    for text in ["first", "", "another, longer one"] {
        let etag = put(&store, "records/ab/x.json", text).await;
        let (info, bytes) = store.get(&key("records/ab/x.json"), 100).await.expect("get").expect("is there");
        assert_eq!(bytes, text);
        assert_eq!((info.size_bytes, &info.etag), (text.len() as u64, &etag));
        assert_eq!(store.head(&key("records/ab/x.json")).await.expect("head"), Some(info));
    }
}

async fn an_absent_object_is_no_error(store: Store) {
    put(&store, "a/b", "x").await;
    for absent in ["a", "a/c", "b", "a/b.c"] {
        assert_eq!(get(&store, absent).await, None);
        assert_eq!(store.head(&key(absent)).await.expect("head"), None);
        assert!(store.read(&key(absent), None).await.expect("read").is_none());
        assert!(!store.delete(&key(absent)).await.expect("delete"));
    }
    assert!(store.delete(&key("a/b")).await.expect("delete"));
    assert!(!store.delete(&key("a/b")).await.expect("delete"));
    assert_eq!(get(&store, "a/b").await, None);
}

async fn a_condition_that_does_not_hold_changes_nothing(store: Store) {
    let at = key("store.json");
    let conditional = async |text: &'static str, condition| store.put(&at, Bytes::from(text), condition).await;

    let stale = ETag("never".into());
    assert!(matches!(conditional("no", PutCondition::Matches(stale)).await, Err(ObjectError::Precondition(_))));
    let first = conditional("one", PutCondition::Absent).await.expect("absent");
    assert!(matches!(conditional("no", PutCondition::Absent).await, Err(ObjectError::Precondition(_))));
    assert_eq!(get(&store, "store.json").await.as_deref(), Some(b"one".as_slice()));

    let second = conditional("two", PutCondition::Matches(first.clone())).await.expect("matches");
    assert!(matches!(conditional("no", PutCondition::Matches(first)).await, Err(ObjectError::Precondition(_))));
    assert_eq!(get(&store, "store.json").await.as_deref(), Some(b"two".as_slice()));

    store.delete(&at).await.expect("delete");
    assert!(matches!(conditional("no", PutCondition::Matches(second)).await, Err(ObjectError::Precondition(_))));
    conditional("three", PutCondition::Absent).await.expect("absent again");
}

async fn of_many_who_swap_at_once_each_counts_once(store: Store) {
    const WRITERS: usize = 16;
    put(&store, "counter", "0").await;
    join_all((0..WRITERS).map(|_| count_one_more(store.clone()))).await;
    assert_eq!(get(&store, "counter").await, Some(Bytes::from(WRITERS.to_string())));
}

async fn count_one_more(store: Store) {
    loop {
        let (info, bytes) = store.get(&key("counter"), 100).await.expect("get").expect("is there");
        let count: usize = String::from_utf8_lossy(&bytes).parse().expect("a number");
        let next = Bytes::from((count + 1).to_string());
        match store.put(&key("counter"), next, PutCondition::Matches(info.etag)).await {
            Ok(_) => return,
            Err(ObjectError::Precondition(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn every_write_has_another_tag(store: Store) {
    let mut tags = Vec::new();
    for round in 0..50 {
        tags.push(put(&store, "same/size", &format!("{round:02}")).await.0);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 50);
}

async fn a_staged_object_appears_only_when_it_is_committed(store: Store) {
    let mut dropped = store.stage().await.expect("stage");
    dropped.write(pattern(600_000)).await.expect("write");
    drop(dropped);

    let mut staged = store.stage().await.expect("stage");
    staged.write(Bytes::from("one ")).await.expect("write");
    assert_eq!(keys(&store, "", None).await, Vec::<String>::new());
    staged.write(Bytes::from("two")).await.expect("write");
    staged.commit(&key("originals/ab/x")).await.expect("commit");
    assert_eq!(get(&store, "originals/ab/x").await.as_deref(), Some(b"one two".as_slice()));
    assert_eq!(keys(&store, "", None).await, ["originals/ab/x"]);

    store.stage().await.expect("stage").commit(&key("originals/ab/x")).await.expect("an empty one replaces it");
    assert_eq!(get(&store, "originals/ab/x").await, Some(Bytes::new()));
}

async fn a_large_object_streams_in_and_out(store: Store) {
    let bytes = pattern(3_000_001);
    let mut staged = store.stage().await.expect("stage");
    for start in (0..bytes.len()).step_by(70_000) {
        staged.write(bytes.slice(start..bytes.len().min(start + 70_000))).await.expect("write");
    }
    staged.commit(&key("large")).await.expect("commit");
    let (info, stream) = store.read(&key("large"), None).await.expect("read").expect("is there");
    assert_eq!(info.size_bytes, bytes.len() as u64);
    assert!(collect(stream).await == bytes);
}

async fn a_range_gives_those_bytes(store: Store) {
    let bytes = pattern(700_000);
    store.put(&key("ranged"), bytes.clone(), PutCondition::None).await.expect("put");
    for range in [0..1, 0..700_000, 5..5, 10..300_000, 262_143..262_145, 699_999..700_000, 700_000..700_000] {
        let (info, stream) = store.read(&key("ranged"), Some(range.clone())).await.expect("read").expect("is there");
        assert_eq!(info.size_bytes, 700_000);
        assert!(collect(stream).await == bytes[range.start as usize..range.end as usize], "{range:?}");
    }
}

async fn a_reader_sees_one_object_whole_while_it_is_replaced(store: Store) {
    let before = pattern(1_000_000);
    store.put(&key("replaced"), before.clone(), PutCondition::None).await.expect("put");
    let (_, stream) = store.read(&key("replaced"), None).await.expect("read").expect("is there");
    store.put(&key("replaced"), Bytes::from(vec![0; 1_000_000]), PutCondition::None).await.expect("put");
    assert!(collect(stream).await == before);
}

async fn a_listing_is_in_the_order_of_keys(store: Store) {
    // `-` and `.` sort before `/`, so the folder `a` comes after both files.
    let sorted = ["a-b", "a.b", "a/x", "a/y/1", "a/z", "a0", "ab/1", "b"];
    for at in sorted.iter().rev() {
        put(&store, at, "x").await;
    }
    assert_eq!(keys(&store, "", None).await, sorted);
    assert_eq!(keys(&store, "a", None).await, ["a/x", "a/y/1", "a/z"]);
    assert_eq!(keys(&store, "a/y", None).await, ["a/y/1"]);
    assert_eq!(keys(&store, "c", None).await, Vec::<String>::new());
    assert!(store.list("../etc", None).try_next().await.is_err());
}

async fn a_listing_goes_on_after_a_key(store: Store) {
    let mut all = Vec::new();
    for number in 0..600 {
        let at = format!("records/{:02x}/{number:04}", number % 7);
        put(&store, &at, "x").await;
        all.push(at);
    }
    all.sort();
    assert_eq!(keys(&store, "records", None).await, all);
    for position in [0, 85, 86, 300, 598, 599] {
        assert_eq!(keys(&store, "records", Some(&all[position])).await, all[position + 1..]);
    }
    assert_eq!(keys(&store, "records", Some("records/03/0002x")).await[0], "records/03/0003");
    assert_eq!(keys(&store, "records", Some("zzz")).await, Vec::<String>::new());
    assert_eq!(keys(&store, "records", Some("a")).await, all);
}

async fn a_listing_survives_deletes_on_the_way(store: Store) {
    for number in 0..300 {
        put(&store, &format!("variants/{number:04}/v"), "x").await;
    }
    let mut listing = store.list("variants", None);
    let mut seen = 0;
    while let Some(info) = listing.try_next().await.expect("list") {
        store.delete(&info.key).await.expect("delete");
        seen += 1;
    }
    assert_eq!(seen, 300);
    assert_eq!(keys(&store, "", None).await, Vec::<String>::new());
}

async fn a_read_past_its_limit_is_refused(store: Store) {
    put(&store, "ten", "0123456789").await;
    assert!(store.get(&key("ten"), 10).await.expect("get").is_some());
    let refused = store.get(&key("ten"), 9).await;
    assert!(matches!(refused, Err(ObjectError::TooLarge { size_bytes: 10, limit_bytes: 9, .. })));
}

async fn a_store_is_ready(store: Store) {
    store.ready().await.expect("ready");
    assert_eq!(keys(&store, "", None).await, Vec::<String>::new());
}

#[test]
fn keys_that_could_leave_the_store_are_none() {
    for text in ["", "/", "/a", "a/", "a//b", "..", "a/../b", ".", "./a", ".staging/x", "a/.b", "A", "a b", "a\0", "ä"]
    {
        assert!(matches!(ObjectKey::new(text), Err(ObjectError::InvalidKey(_))), "{text:?}");
    }
    assert!(ObjectKey::new("x".repeat(513)).is_err());
    for text in ["a", "store.json", "originals/ab/0-_.x", "a..b/c"] {
        assert!(ObjectKey::new(text).is_ok(), "{text:?}");
    }
}
