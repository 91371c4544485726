//! Large objects on their way in.

use camino::Utf8PathBuf;
use futures::TryStreamExt;

use super::{MIB, key, opened, opened_at, paths, pieces, read_all, settings, until, uploads};
use crate::objects::{ObjectError, ObjectStore, s3::S3Store};

#[tokio::test]
async fn a_large_upload_becomes_one_object_and_leaves_no_parts() {
    let mut settings = settings().await;
    settings.prefix = settings.prefix.map(|prefix| format!("/shared with others/ä+%/{prefix}/"));
    let store = opened_at(&settings).await;
    // What an opening left that was overtaken by its deadline.
    let before = paths(&store).await;
    let mut staged = store.stage().await.unwrap();
    let mut whole = Vec::new();
    for piece in pieces(5, 3 * MIB) {
        whole.extend_from_slice(&piece);
        staged.write(piece).await.unwrap();
    }
    assert_eq!(paths(&store).await.len(), before.len() + 2);
    assert!(store.list("", None).try_next().await.unwrap().is_none());

    staged.commit(&key("originals/ab/large")).await.unwrap();
    assert!(read_all(&store, "originals/ab/large").await == whole);
    assert_eq!(paths(&store).await, [before, vec!["originals/ab/large".to_owned()]].concat());
    assert_eq!(uploads(&store).await, Vec::<String>::new());
    let (info, stream) = store.read(&key("originals/ab/large"), Some(5 << 20..(5 << 20) + 9)).await.unwrap().unwrap();
    assert_eq!(info.size_bytes, 15 << 20);
    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().concat(), whole[5 << 20..(5 << 20) + 9]);
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing() {
    let store = opened().await;
    let before = paths(&store).await;
    let mut staged = store.stage().await.unwrap();
    for piece in pieces(4, 3 * MIB) {
        staged.write(piece).await.unwrap();
    }
    assert_eq!(paths(&store).await.len(), before.len() + 2);
    drop(staged);
    until("parts are left", async || paths(&store).await == before).await;
}

#[tokio::test]
async fn an_upload_that_can_not_be_put_together_leaves_nothing() {
    let store = opened().await;
    let before = paths(&store).await;
    let mut staged = store.stage().await.unwrap();
    for piece in pieces(5, 3 * MIB) {
        staged.write(piece).await.unwrap();
    }
    let lost = paths(&store).await.into_iter().find(|path| path.ends_with("/1")).unwrap();
    store.bucket.delete(&format!("{}{lost}", store.bucket.prefix)).await.unwrap();

    let at = key("originals/ab/large");
    let failed = staged.commit(&at).await;
    assert!(matches!(failed, Err(ObjectError::Unavailable { .. })), "{failed:?}");
    until("parts are left", async || paths(&store).await == before && uploads(&store).await.is_empty()).await;
    assert_eq!(store.head(&at).await.unwrap(), None);
}

#[tokio::test]
async fn a_folder_that_takes_no_parts_is_named_and_small_uploads_go_on() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = Utf8PathBuf::from_path_buf(file.path().to_owned()).unwrap();
    let settings = settings().await;
    opened_at(&settings).await;
    let store = S3Store::open(&settings, &folder).await.unwrap();
    for (size_bytes, fits) in [(100_000, true), (200_000, false)] {
        let mut staged = store.stage().await.unwrap();
        match staged.write(vec![0; size_bytes].into()).await {
            Ok(()) => assert!(fits),
            Err(error) => assert!(!fits && error.to_string().contains(folder.as_str()), "{error}"),
        }
    }
}
