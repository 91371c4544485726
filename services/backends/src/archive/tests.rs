#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, File},
    process::Command,
    sync::{Arc, Mutex},
};

use camino::Utf8PathBuf;
use serde_json::json;
use shared::{FailureCode, ImageId, ModelFingerprint, TaskFailure};

use super::{ArchiveError, ArchiveProgress, EntryKind, Exported, Imported, export, import};
use crate::{
    keys,
    testing::{BROKEN, DIMENSION, World, vector_of},
};

fn archive_of(world: &World) -> Utf8PathBuf {
    Utf8PathBuf::from_path_buf(world.folder.path().join("all.tar.zst")).unwrap()
}

/// Larger than what a reader takes at once, different for each name, and not to be compressed.
fn picture(name: &str) -> Vec<u8> {
    let part = |number: u32| *ImageId::of(format!("{name} {number}").as_bytes()).digest();
    (0..22_000).flat_map(part).collect()
}

async fn filled() -> World {
    let world = World::start().await;
    let mut made = Vec::new();
    for name in ["one", "two", "three", "deleted"] {
        made.push(world.upload(&picture(name)).await);
    }
    world.upload(BROKEN).await;
    world.work().await;
    world.delete(made[3].image_id).await;
    let image_id = made[0].image_id;
    world.stores.records.change_metadata(image_id, &json!({"caption": "a giraffe", "tags": ["zoo"]})).await.unwrap();
    world.projection.align(image_id).await.unwrap();
    world
}

async fn exported(world: &World) -> Utf8PathBuf {
    let path = archive_of(world);
    export(&world.stores, Some(world.collection.clone()), &path, |_| {}).await.unwrap();
    path
}

/// Everything that matters of two worlds is the same; only the names of stored copies differ.
async fn assert_same(left: &World, right: &World) {
    for name in ["one", "two", "three", "deleted"] {
        let image_id = ImageId::of(&picture(name));
        let (mut before, mut after) =
            (left.stores.records.get(image_id).await.unwrap(), right.stores.records.get(image_id).await.unwrap());
        for record in [&mut before, &mut after].into_iter().flatten() {
            record.original = None;
        }
        assert_eq!(before, after, "{name}");
        assert_eq!(
            left.collection.get(image_id).await.unwrap(),
            right.collection.get(image_id).await.unwrap(),
            "{name}"
        );
        let original = right.stores.records.read_original(image_id, 1 << 20).await.unwrap();
        assert_eq!(original.is_some(), name != "deleted");
        assert!(original.is_none_or(|(_, bytes)| bytes == picture(name)));
    }
    assert_eq!(right.originals().await.len(), 4);
}

#[tokio::test]
async fn everything_moves_without_an_embedding() {
    let (from, to) = (filled().await, World::start().await);
    let path = archive_of(&from);
    let seen = Arc::new(Mutex::new(Vec::<ArchiveProgress>::new()));
    let progress = seen.clone();
    let report = move |now| progress.lock().unwrap().push(now);
    let done = export(&from.stores, Some(from.collection.clone()), &path, report).await.unwrap();
    let bytes = fs::metadata(&path).unwrap().len();
    assert_eq!(done, Exported { images: 5, bytes, ..Exported::default() });
    let last = *seen.lock().unwrap().last().unwrap();
    assert_eq!((last.images, last.images_total), (5, Some(5)));
    assert!(!Utf8PathBuf::from(format!("{path}.partial")).exists());

    let done = import(&to.stores, &to.collection, &path, |_| {}).await.unwrap();
    assert_eq!(done, Imported { images: 5, changed: 5, vectors: 3, ..Imported::default() });
    assert_eq!(to.work().await, 0);
    assert_same(&from, &to).await;

    let again = import(&to.stores, &to.collection, &path, |_| {}).await.unwrap();
    assert_eq!(again, Imported { images: 5, ..Imported::default() });
}

#[tokio::test]
async fn an_archive_without_usable_vectors_makes_jobs() {
    let (from, to) = (filled().await, World::start().await);
    let other = ModelFingerprint("ffffffffffffffff".into());
    let collection = to.stores.open_collection(&other, DIMENSION).await.unwrap().collection;
    let done = import(&to.stores, &collection, &exported(&from).await, |_| {}).await.unwrap();
    assert_eq!(done, Imported { images: 5, changed: 5, enqueued: 3, ..Imported::default() });
    assert_eq!(to.stores.queue.depth().await.unwrap().queued, 3);
}

#[tokio::test]
async fn the_highest_version_wins_wherever_it_comes_from() {
    let (from, to) = (filled().await, World::start().await);
    let path = exported(&from).await;
    import(&to.stores, &to.collection, &path, |_| {}).await.unwrap();
    let (one, two) = (ImageId::of(&picture("one")), ImageId::of(&picture("two")));
    to.delete(one).await;
    from.delete(two).await;
    fs::remove_file(&path).unwrap();

    let done = import(&to.stores, &to.collection, &exported(&from).await, |_| {}).await.unwrap();
    assert_eq!(done, Imported { images: 5, changed: 1, ..Imported::default() });
    for deleted in [one, two] {
        assert!(!to.is_indexed(deleted).await);
        assert!(to.stores.records.read_original(deleted, 1 << 20).await.unwrap().is_none());
    }
    assert_eq!(to.originals().await.len(), 2);
}

#[tokio::test]
async fn an_export_that_was_cut_off_goes_on_after_its_last_whole_image() {
    let from = filled().await;
    let whole = exported(&from).await;
    let size_bytes = fs::metadata(&whole).unwrap().len();
    for cut_bytes in [0, 1, 200, size_bytes / 3, size_bytes / 2, size_bytes - 100, size_bytes - 1, size_bytes] {
        let path = Utf8PathBuf::from(format!("{whole}.{cut_bytes}"));
        let partial = Utf8PathBuf::from(format!("{path}.partial"));
        fs::copy(&whole, &partial).unwrap();
        File::options().write(true).open(&partial).unwrap().set_len(cut_bytes).unwrap();
        let done = export(&from.stores, Some(from.collection.clone()), &path, |_| {}).await.unwrap();
        assert_eq!(done.images, 5, "cut at {cut_bytes}");
        if cut_bytes >= size_bytes / 2 {
            assert!(done.resumed > 0, "cut at {cut_bytes}");
        }
        let to = World::start().await;
        import(&to.stores, &to.collection, &path, |_| {}).await.unwrap();
        assert_same(&from, &to).await;
    }
}

#[tokio::test]
async fn an_unfinished_export_is_not_continued_with_another_store() {
    let (from, other) = (filled().await, filled().await);
    let path = archive_of(&from);
    fs::rename(exported(&other).await, format!("{path}.partial")).unwrap();
    let refused = export(&from.stores, Some(from.collection.clone()), &path, |_| {}).await;
    assert!(matches!(refused, Err(ArchiveError::OtherExport { .. })), "{refused:?}");
    assert!(matches!(
        export(&other.stores, None, &exported(&other).await, |_| {}).await,
        Err(ArchiveError::Exists { .. })
    ));
}

#[tokio::test]
async fn a_cut_off_archive_is_imported_as_far_as_it_goes_and_later_to_the_end() {
    let (from, to) = (filled().await, World::start().await);
    let whole = exported(&from).await;
    let cut = Utf8PathBuf::from(format!("{whole}.cut"));
    fs::copy(&whole, &cut).unwrap();
    File::options().write(true).open(&cut).unwrap().set_len(fs::metadata(&whole).unwrap().len() * 2 / 3).unwrap();
    let refused = import(&to.stores, &to.collection, &cut, |_| {}).await;
    assert!(matches!(refused, Err(ArchiveError::CutOff { images: 1.., .. })), "{refused:?}");
    assert!(!to.originals().await.is_empty());
    let done = import(&to.stores, &to.collection, &whole, |_| {}).await.unwrap();
    assert!(done.changed < 5);
    assert_same(&from, &to).await;
}

#[tokio::test]
async fn damage_in_an_archive_is_noticed() {
    let (from, to) = (filled().await, World::start().await);
    let path = exported(&from).await;
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(import(&to.stores, &to.collection, &path, |_| {}).await.is_err());
    fs::write(&path, "not an archive").unwrap();
    assert!(import(&to.stores, &to.collection, &path, |_| {}).await.is_err());
}

#[tokio::test]
async fn bytes_that_are_gone_or_damaged_are_left_out_and_counted() {
    let from = filled().await;
    let record = |name: &str| from.stores.records.get(ImageId::of(&picture(name)));
    let (one, two) = (record("one").await.unwrap().unwrap(), record("two").await.unwrap().unwrap());
    from.stores.objects.delete(&keys::original(one.image_id, one.original.unwrap())).await.unwrap();
    let rotten = keys::original(two.image_id, two.original.unwrap());
    from.stores.objects.put(&rotten, vec![0; 704_000].into(), crate::objects::PutCondition::None).await.unwrap();
    let path = archive_of(&from);
    let broken = keys::record(ImageId::of(BROKEN));
    from.stores.objects.put(&broken, "{".into(), crate::objects::PutCondition::None).await.unwrap();
    let done = export(&from.stores, None, &path, |_| {}).await.unwrap();
    assert_eq!((done.images, done.without_original, done.damaged_records), (4, 2, 1));
    // Those that an earlier run left out are still missing when it is continued.
    let continued = Utf8PathBuf::from(format!("{path}.continued"));
    fs::copy(&path, format!("{continued}.partial")).unwrap();
    assert_eq!(export(&from.stores, None, &continued, |_| {}).await.unwrap(), Exported { resumed: 4, ..done });
    let to = World::start().await;
    let done = import(&to.stores, &to.collection, &path, |_| {}).await.unwrap();
    assert_eq!(done.images, 4);
    assert_eq!(to.originals().await.len(), 1);
}

#[tokio::test]
async fn an_image_that_failed_where_it_comes_from_is_found_no_longer() {
    let (to, from) = (World::start().await, World::start().await);
    to.upload(b"one").await;
    to.work().await;
    let record = from.upload(b"one").await;
    let failure = TaskFailure { code: FailureCode::Corrupt, detail: "it is broken".into() };
    from.stores.records.set_failure(record.image_id, record.version, &failure).await.unwrap().unwrap();
    let done = import(&to.stores, &to.collection, &exported(&from).await, |_| {}).await.unwrap();
    assert_eq!(done, Imported { images: 1, changed: 1, ..Imported::default() });
    assert!(!to.is_indexed(record.image_id).await);
}

#[tokio::test]
async fn an_archive_is_what_tar_and_zstd_read() {
    let from = filled().await;
    let path = exported(&from).await;
    let listed = Command::new("tar").args(["--zstd", "-tf", path.as_str()]).output();
    let Ok(listed) = listed.as_ref().map(|listed| String::from_utf8_lossy(&listed.stdout)) else { return };
    if listed.is_empty() {
        eprintln!("skipped: tar or zstd is not installed");
        return;
    }
    let names: Vec<_> = listed.lines().collect();
    assert_eq!((names.first(), names.last()), (Some(&"manifest.json"), Some(&"end.json")));
    // Five records, four originals (one of them of an image that can't be decoded), three vectors.
    assert_eq!(names.len(), 2 + 5 + 4 + 3);
}

#[test]
fn only_names_of_entries_are_entries() {
    let image_id = ImageId::of(b"one");
    for kind in [
        EntryKind::Manifest,
        EntryKind::Record(image_id),
        EntryKind::Original(image_id),
        EntryKind::Vector(image_id),
        EntryKind::End,
    ] {
        assert_eq!(EntryKind::parse(&kind.name()), Some(kind));
    }
    let id = image_id.to_string();
    for name in [
        "",
        "records",
        "../manifest.json",
        "/etc/passwd",
        &format!("records/00/{id}.json"),
        &format!("originals/{id}"),
        &id,
    ] {
        assert_eq!(EntryKind::parse(name), None, "{name}");
    }
    assert_eq!(vector_of(image_id).len(), DIMENSION);
}
