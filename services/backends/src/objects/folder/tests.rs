#![allow(clippy::unwrap_used)]

use std::{fs, process::Command, sync::Arc};

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use futures::TryStreamExt;
use tempfile::TempDir;

use super::FolderStore;
use crate::objects::{ObjectError, ObjectKey, ObjectStore, PutCondition, conformance::conformance};

fn temporary() -> (TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().join("objects")).unwrap();
    (folder, path)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

/// Every file and folder below.
fn entries(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    for entry in root.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        found.push(entry.path().to_owned());
        if entry.file_type().unwrap().is_dir() {
            found.extend(entries(entry.path()));
        }
    }
    found
}

#[tokio::test]
async fn the_folder_keeps_the_contract() {
    let (_guard, path) = temporary();
    let number = std::sync::atomic::AtomicU32::new(0);
    conformance(async || {
        let fresh = path.join(number.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string());
        Arc::new(FolderStore::open(&fresh).unwrap()) as Arc<dyn ObjectStore>
    })
    .await;
}

#[tokio::test]
async fn what_was_half_written_is_removed_at_start_and_the_rest_stays() {
    let (_guard, path) = temporary();
    let store = FolderStore::open(&path).unwrap();
    store.put(&key("a/b"), Bytes::from("kept"), PutCondition::None).await.unwrap();
    fs::write(path.join(".staging/left"), "half").unwrap();
    drop(store);

    let store = FolderStore::open(&path).unwrap();
    assert_eq!(entries(&path), [path.join(".staging"), path.join("a"), path.join("a/b")]);
    assert!(store.head(&key("a/b")).await.unwrap().is_some());
}

#[tokio::test]
async fn who_reads_beside_the_writer_makes_and_removes_nothing() {
    let (_guard, path) = temporary();
    let reader = FolderStore::open_for_reading(&path);
    assert!(reader.head(&key("a")).await.unwrap().is_none() && !path.exists());

    let store = FolderStore::open(&path).unwrap();
    let mut staged = store.stage().await.unwrap();
    staged.write(Bytes::from(vec![1; 1 << 20])).await.unwrap();
    let reader = FolderStore::open_for_reading(&path);
    staged.commit(&key("a")).await.unwrap();
    assert_eq!(reader.head(&key("a")).await.unwrap().unwrap().size_bytes, 1 << 20);
}

#[tokio::test]
async fn a_dropped_upload_and_a_delete_leave_no_file_and_no_folder() {
    let (_guard, path) = temporary();
    let store = FolderStore::open(&path).unwrap();
    let mut staged = store.stage().await.unwrap();
    staged.write(Bytes::from(vec![1; 1 << 20])).await.unwrap();
    assert_eq!(entries(&path).len(), 2);
    drop(staged);
    store.put(&key("variants/ab/x/w320"), Bytes::from("v"), PutCondition::None).await.unwrap();
    store.delete(&key("variants/ab/x/w320")).await.unwrap();
    assert_eq!(entries(&path), [path.join(".staging")]);
}

#[tokio::test]
async fn files_of_other_programs_are_not_listed() {
    let (_guard, path) = temporary();
    let store = FolderStore::open(&path).unwrap();
    store.put(&key("a/b"), Bytes::from("x"), PutCondition::None).await.unwrap();
    for name in ["Thumbs.db", ".DS_Store", "a/B.JPG", "lost+found"] {
        fs::write(path.join(name), "x").unwrap();
    }
    let listed: Vec<_> = store.list("", None).map_ok(|info| info.key.to_string()).try_collect().await.unwrap();
    assert_eq!(listed, ["a/b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_and_deletes_of_one_folder_do_not_disturb_each_other() {
    let (_guard, path) = temporary();
    let store = Arc::new(FolderStore::open(&path).unwrap());
    let tasks: Vec<_> = (0..8)
        .map(|writer| {
            let (store, at) = (store.clone(), key(&format!("variants/ab/x/{writer}")));
            tokio::spawn(async move {
                for _ in 0..50 {
                    store.put(&at, Bytes::from("v"), PutCondition::None).await.unwrap();
                    assert!(store.delete(&at).await.unwrap());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(entries(&path), [path.join(".staging")]);
}

/// A file system of its own, of 1 MiB.
struct SmallDisk(Utf8PathBuf);

impl SmallDisk {
    fn mount(path: &Utf8Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", path.as_str()]).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.as_str()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_a_clean_error_and_leaves_nothing_behind() {
    let (_guard, path) = temporary();
    let Some(_disk) = SmallDisk::mount(&path) else {
        eprintln!("skipped: mounting a small file system is refused here; run as root");
        return;
    };
    let store = FolderStore::open(&path).unwrap();
    store.put(&key("records/ab/x"), Bytes::from("before"), PutCondition::None).await.unwrap();
    let before = entries(&path);

    let mut staged = store.stage().await.unwrap();
    let mut written = Ok(());
    for _ in 0..8 {
        written = written.and(staged.write(Bytes::from(vec![7; 300_000])).await);
    }
    assert!(matches!(written, Err(ObjectError::Full(_))), "{written:?}");
    assert!(staged.commit(&key("originals/ab/x")).await.is_err());
    let whole = store.put(&key("originals/ab/y"), Bytes::from(vec![7; 2 << 20]), PutCondition::None).await;
    assert!(matches!(whole, Err(ObjectError::Full(at)) if at == "originals/ab/y"));

    assert_eq!(entries(&path), before);
    assert_eq!(store.get(&key("records/ab/x"), 10).await.unwrap().unwrap().1, "before");
    store.put(&key("records/ab/x"), Bytes::from("after"), PutCondition::None).await.unwrap();
    store.ready().await.unwrap();
}
