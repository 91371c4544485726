#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader},
    ops::Deref,
    process::{Command, Stdio},
};

use camino::{Utf8Path, Utf8PathBuf};
use shared::{ImageId, Version, filter::parse};
use tempfile::TempDir;

use super::{super::conformance::*, journal::Change, *};

conformance!(fresh);

fn fresh() -> Opened {
    let (folder, path) = folder();
    Opened { index: Arc::new(QdrantEdgeIndex::open(&path).unwrap()), _kept: Box::new(folder) }
}

fn folder() -> (TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().join("index")).unwrap();
    (folder, path)
}

/// A collection that is closed when it is dropped, as at the end of a process: maintenance may hold it a little longer.
struct OpenedAlone {
    index: QdrantEdgeIndex,
    collection: Arc<dyn Collection>,
}

impl Deref for OpenedAlone {
    type Target = dyn Collection;

    fn deref(&self) -> &Self::Target {
        self.collection.as_ref()
    }
}

impl Drop for OpenedAlone {
    fn drop(&mut self) {
        for collection in self.index.open.get_mut().values() {
            collection.close();
        }
    }
}

async fn opened(path: &Utf8Path) -> OpenedAlone {
    let index = QdrantEdgeIndex::open(path).unwrap();
    let collection = collection(&index).await;
    OpenedAlone { index, collection }
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let (_folder, path) = folder();
    for round in 0..4_u32 {
        let collection = opened(&path).await;
        assert_eq!(collection.count(None).await.unwrap(), u64::from(round));
        collection.upsert(&[point(&round.to_string(), 0.1)]).await.unwrap();
    }
    let collection = opened(&path).await;
    collection.delete(&[ImageId::of(b"0")]).await.unwrap();
    let mut changed = document("1");
    changed.version = Version(5);
    assert!(collection.set_document(&changed).await.unwrap());
    drop(collection);

    let collection = opened(&path).await;
    assert_eq!(collection.count(None).await.unwrap(), 3);
    assert_eq!(collection.get(changed.image_id).await.unwrap().unwrap().document, changed);
}

/// What the killed process does: writes, changes and deletes for ever, and says so once each is acknowledged.
#[tokio::test]
#[ignore = "started and killed by acknowledged_changes_survive_sigkill"]
async fn write_until_killed() {
    let Ok(path) = std::env::var("IMAGESEARCH_TEST_INDEX") else { return };
    let collection = opened(Utf8Path::new(&path)).await;
    let first = collection.count(None).await.unwrap() * 2;
    for number in first.. {
        let points = [point(&format!("kept {number}"), 0.1), point(&format!("deleted {number}"), 0.2)];
        collection.upsert(&points).await.unwrap();
        collection.delete(&[points[1].document.image_id]).await.unwrap();
        let mut changed = points[0].document.clone();
        changed.version = Version(2);
        collection.set_document(&changed).await.unwrap();
        println!("acknowledged {number}");
    }
}

#[tokio::test]
async fn acknowledged_changes_survive_sigkill() {
    let (_folder, path) = folder();
    let mut kept = Vec::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "index::qdrant_edge::tests::write_until_killed"])
            .env("IMAGESEARCH_TEST_INDEX", path.as_str())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        kept.extend(acknowledged.by_ref().take(40 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it wrote between the last line that was read and its end.
        kept.extend(acknowledged);

        let collection = opened(&path).await;
        for number in &kept {
            let stored = collection.get(ImageId::of(format!("kept {number}").as_bytes())).await.unwrap();
            assert_eq!(stored.map(|point| point.document.version), Some(Version(2)), "{number}");
            assert_eq!(collection.get(ImageId::of(format!("deleted {number}").as_bytes())).await.unwrap(), None);
        }
        let listed = collection.count(Some(&parse("name:kept").unwrap())).await.unwrap();
        assert!(
            (kept.len() as u64..=kept.len() as u64 + round as u64).contains(&listed),
            "{listed} listed, {} kept",
            kept.len()
        );
    }
}

#[tokio::test]
async fn changes_count_after_the_log_of_qdrant_was_lost() {
    let (_folder, path) = folder();
    let collection = opened(&path).await;
    collection.upsert(&[point("a", 0.1)]).await.unwrap();
    drop(collection);
    fs::remove_dir_all(path.join(&spec().model.0).join("shard/wal")).unwrap();

    let collection = opened(&path).await;
    let mut changed = document("a");
    changed.version = Version(2);
    assert!(collection.set_document(&changed).await.unwrap());
    assert_eq!(collection.get(changed.image_id).await.unwrap().unwrap().document, changed);
}

#[tokio::test]
async fn a_damaged_collection_is_refused_and_can_be_made_anew() {
    type Damage = fn(&Utf8Path) -> std::io::Result<()>;
    let damages: [(&str, Damage); 4] = [
        ("identity lost", |folder| fs::remove_file(folder.join("collection.json"))),
        ("identity cut off", |folder| fs::write(folder.join("collection.json"), "{")),
        ("shard lost", |folder| fs::remove_dir_all(folder.join("shard"))),
        ("segment torn", |folder| {
            for segment in fs::read_dir(folder.join("shard/segments"))? {
                fs::write(segment?.path().join("segment.json"), "torn")?;
            }
            Ok(())
        }),
    ];
    for (name, damage) in damages {
        let (_folder, path) = folder();
        opened(&path).await.upsert(&[point("a", 0.1)]).await.unwrap();
        damage(&path.join(&spec().model.0)).unwrap();

        let index = QdrantEdgeIndex::open(&path).unwrap();
        let refused = index.open(&spec()).await.map(drop);
        assert!(matches!(refused, Err(IndexError::ForeignStore { .. })), "{name}: {refused:?}");
        assert!(index.remove(&spec().model).await.unwrap(), "{name}");
        assert_eq!(index.open(&spec()).await.unwrap().count(None).await.unwrap(), 0, "{name}");
    }
}

/// A store with a journal and a log of many megabytes, of documents with long captions.
fn large_store(path: &Utf8Path, captions: u32) -> Arc<Store> {
    let store = Store::open(path, &spec()).unwrap();
    for number in 0..captions {
        let mut point = point(&format!("large {number}"), 0.1);
        point.document.metadata.caption = Some("x".repeat(1 << 20));
        assert!(store.change(&Change::Upsert(vec![(point.document, point.vector)])).unwrap());
    }
    store
}

fn disk_bytes(folder: &Utf8Path) -> u64 {
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| std::os::unix::fs::MetadataExt::blocks(&file.unwrap().metadata().unwrap()) * 512).sum()
}

#[test]
fn a_checkpoint_empties_the_journal_and_frees_the_log() {
    let (_folder, path) = folder();
    fs::create_dir_all(&path).unwrap();
    let path = path.join("collection");
    let store = large_store(&path, 30);
    assert!(store.journal_length() > 30 << 20);
    store.checkpoint().unwrap();
    assert_eq!(store.journal_length(), 0);
    let wal = disk_bytes(&path.join("shard/wal"));
    assert!(wal < 20 << 20, "{wal} bytes of log remain");
    drop(store);

    let store = Store::open(&path, &spec()).unwrap();
    assert_eq!(store.with(|shard| Ok(shard.info().points_count)).unwrap(), 30);
}

#[test]
fn changes_made_while_a_graph_is_built_are_kept() {
    const DIMENSION: usize = 2048;
    let (_folder, path) = folder();
    fs::create_dir_all(&path).unwrap();
    let path = path.join("collection");
    let spec = CollectionSpec { dimension: DIMENSION, ..spec() };
    let store = Store::open(&path, &spec).unwrap();
    // More than is searched without a graph.
    let upsert = |name: String| {
        let radians = name.len() as f32;
        let mut vector = vec![0.0; DIMENSION];
        (vector[0], vector[1]) = (radians.cos(), radians.sin());
        Change::Upsert(vec![(document(&name), vector)])
    };
    for number in 0..3000 {
        store.change(&upsert(number.to_string())).unwrap();
    }
    let builder = std::thread::spawn({
        let store = Arc::clone(&store);
        move || store.with(|shard| Ok(shard::optimize(shard))).unwrap().unwrap()
    });
    let mut changes = 0;
    while changes < 100 || !builder.is_finished() && changes < 1000 {
        store.change(&upsert(format!("meanwhile {changes}"))).unwrap();
        store.change(&Change::Delete(vec![ImageId::of(changes.to_string().as_bytes())])).unwrap();
        let mut changed = document(&(2999 - changes).to_string());
        changed.version = Version(2);
        assert!(store.change(&Change::SetDocument(Box::new(changed))).unwrap());
        changes += 1;
    }
    assert!(builder.join().unwrap(), "there was something to build");
    drop(store);

    let store = Store::open(&path, &spec).unwrap();
    let (documents, next) = store.with(|shard| listing::scan(shard, None, 5000)).unwrap();
    assert_eq!((documents.len(), next), (3000, None));
    assert_eq!(documents.iter().filter(|document| document.version == Version(2)).count(), changes as usize);
    let meanwhile =
        documents.iter().filter(|document| document.name.as_ref().is_some_and(|name| name.starts_with("meanwhile")));
    assert_eq!(meanwhile.count(), changes as usize);
}

#[tokio::test]
async fn a_name_that_leaves_the_folder_is_no_collection() {
    let (_folder, path) = folder();
    let index = QdrantEdgeIndex::open(&path).unwrap();
    for name in ["", "..", "a/b", ".hidden", "é"] {
        let spec = CollectionSpec { model: ModelFingerprint(name.into()), ..spec() };
        assert!(index.open(&spec).await.is_err(), "{name}");
        assert!(index.remove(&spec.model).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn what_a_crash_left_half_made_is_cleared() {
    let (_folder, path) = folder();
    fs::create_dir_all(path.join(".making-0123456789abcdef/shard")).unwrap();
    let collection = opened(&path).await;
    assert_eq!(collection.count(None).await.unwrap(), 0);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
}

/// A file that opens and then can't be read, as on a disk that fails.
fn make_unreadable(file: &Utf8Path) {
    std::os::unix::fs::symlink("/proc/self/mem", file).unwrap();
}

#[tokio::test]
async fn a_collection_that_cannot_be_read_for_now_is_not_given_up() {
    for name in ["collection.json", "journal"] {
        let (_folder, path) = folder();
        opened(&path).await.upsert(&[point("a", 0.1)]).await.unwrap();
        let file = path.join(&spec().model.0).join(name);
        let aside = file.with_extension("aside");
        fs::rename(&file, &aside).unwrap();
        make_unreadable(&file);

        let index = QdrantEdgeIndex::open(&path).unwrap();
        let refused = index.open(&spec()).await.map(drop);
        assert!(matches!(refused, Err(IndexError::Unavailable { .. })), "{name}: {refused:?}");
        fs::rename(&aside, &file).unwrap();
        assert_eq!(index.open(&spec()).await.unwrap().count(None).await.unwrap(), 1, "{name}");
    }
}
