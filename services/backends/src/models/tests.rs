#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use embedding::{Bundle, Checksum, FetchError, FetchOptions, FileChecksums, Progress, Source};
use shared::config::S3;
use tempfile::TempDir;
use uuid::Uuid;

use super::{ModelKey, StoredModel, StoredModelError, find, list, put};
use crate::{
    archive,
    check::check,
    keys,
    objects::{
        ObjectKey, ObjectStore, PutCondition,
        folder::FolderStore,
        s3::{S3Folder, S3Store},
    },
    sweep::{Swept, sweep},
    testing::{World, everything},
};

const DIMENSION: usize = 4;

/// An object store, and a place for copies.
struct Place {
    objects: Arc<dyn ObjectStore>,
    folder: TempDir,
}

impl Place {
    fn of(folder: TempDir, objects: impl ObjectStore + 'static) -> Self {
        Self { objects: Arc::new(objects), folder }
    }

    fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    fn cache(&self) -> FetchOptions {
        FetchOptions::new(self.path().join("cache"))
    }

    async fn put(&self) -> StoredModel {
        put(&self.objects, &key(), &source(), &bundle("plain"), DIMENSION, &|_| ()).await.unwrap()
    }

    async fn found(&self) -> Option<StoredModel> {
        find(&self.objects, &key()).await.unwrap()
    }
}

/// One on each adapter.
async fn places() -> [Place; 2] {
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let root = Utf8Path::from_path(one.path()).unwrap().join("objects");
    let s3 = opened(&settings().await, &other).await;
    [Place::of(one, FolderStore::open(&root).unwrap()), Place::of(other, s3)]
}

async fn settings() -> S3 {
    let endpoint = servers::shared_s3().await;
    S3 { prefix: Some(Uuid::new_v4().to_string()), ..servers::settings_at(&endpoint, "imagesearch-tests") }
}

async fn opened(settings: &S3, folder: &TempDir) -> S3Store {
    let uploads = Utf8Path::from_path(folder.path()).unwrap().join("uploads");
    S3Store::open(settings, &uploads).await.unwrap()
}

fn tiny(name: &str) -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models").join(name)
}

fn bundle(name: &str) -> Bundle {
    Bundle::open(&tiny(name)).unwrap()
}

fn source() -> Source {
    "https://user:password@example.org/plain.tar".parse().unwrap()
}

fn key() -> ModelKey {
    ModelKey::of(&source(), &FileChecksums::new())
}

fn object_of(file: &str) -> ObjectKey {
    keys::model_file(&key(), bundle("plain").checksums()[file])
}

#[tokio::test]
async fn a_copy_is_the_model_that_was_put_there() {
    for place in places().await {
        assert!(place.found().await.is_none());
        place.put().await;
        let stored = place.found().await.unwrap();
        assert_eq!((stored.manifest().name.as_str(), stored.manifest().dimension), ("plain", DIMENSION));
        assert_eq!(stored.manifest().source, "https://example.org/plain.tar", "nobody's password is written down");
        stored.verify(&|_| ()).await.unwrap();
        let listed: Vec<_> = list(&place.objects).await.unwrap().iter().map(|model| model.manifest().clone()).collect();
        assert_eq!(listed, [stored.manifest().clone()]);

        let copy = stored.copy(None, &place.cache()).await.unwrap();
        let (copied, original) = (Bundle::open(&copy).unwrap(), bundle("plain"));
        assert_eq!(copied.fingerprint(), original.fingerprint());
        assert_eq!(copied.checksums(), original.checksums());

        place.objects.delete(&object_of("image.onnx")).await.unwrap();
        assert_eq!(stored.copy(None, &place.cache()).await.unwrap(), copy, "what is copied is not read again");
    }
}

#[tokio::test]
async fn every_layout_is_identified_by_its_settings_alone() {
    let [place, _] = places().await;
    for name in ["plain", "clip", "siglip", "open_clip", "multilingual"] {
        let original = bundle(name);
        let stored = put(&place.objects, &key(), &source(), &original, DIMENSION, &|_| ()).await.unwrap();
        for file in original.checksums().keys().filter(|file| Utf8Path::new(file).extension() == Some("onnx")) {
            place.objects.delete(&keys::model_file(&key(), original.checksums()[file])).await.unwrap();
        }
        assert_eq!(&stored.identify(None, place.path()).await.unwrap(), original.fingerprint(), "{name}");
        let left = std::fs::read_dir(place.folder.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["objects"], "nothing is left of {name}");
    }
}

#[tokio::test]
async fn without_a_manifest_that_can_be_used_a_model_is_not_there() {
    for place in places().await {
        place.put().await;
        let manifest = keys::model_manifest(&key());
        let (_, bytes) = place.objects.get(&manifest, 1 << 20).await.unwrap().unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        for damaged in [text[..text.len() / 2].to_owned(), text.replace("image.onnx", "../image.onnx")] {
            place.objects.put(&manifest, damaged.into(), PutCondition::None).await.unwrap();
            assert!(place.found().await.is_none());
        }
        place.objects.delete(&manifest).await.unwrap();
        assert!(place.found().await.is_none(), "what is there of it was half written");
        place.put().await;
        place.found().await.unwrap().verify(&|_| ()).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_object_is_named_and_never_copied_until_it_is_put_anew() {
    for place in places().await {
        let stored = place.put().await;
        let damaged = object_of("text.onnx");
        let (info, _) = place.objects.get(&damaged, 1 << 20).await.unwrap().unwrap();
        let other = Bytes::from(vec![7; info.size_bytes as usize]);
        place.objects.put(&damaged, other, PutCondition::None).await.unwrap();
        for refused in [stored.verify(&|_| ()).await, stored.copy(None, &place.cache()).await.map(drop)] {
            let refused = refused.unwrap_err();
            assert!(matches!(&refused, StoredModelError::Damaged(key) if *key == damaged), "{refused}");
            assert!(refused.is_unavailable(), "somebody may put it there anew");
        }
        place.objects.delete(&damaged).await.unwrap();
        let refused = stored.verify(&|_| ()).await.unwrap_err();
        assert!(matches!(&refused, StoredModelError::Damaged(key) if *key == damaged), "{refused}");

        place.put().await;
        let copy = stored.copy(None, &place.cache()).await.unwrap();
        assert_eq!(Bundle::open(&copy).unwrap().checksums(), bundle("plain").checksums());
    }
}

#[tokio::test]
async fn of_two_who_put_different_states_one_is_whole() {
    for place in places().await {
        let (one, other) = (bundle("plain"), bundle("clip"));
        let (key, source) = (key(), source());
        let put = |bundle| put(&place.objects, &key, &source, bundle, DIMENSION, &|_| ());
        let (first, second) = tokio::join!(put(&one), put(&other));
        first.unwrap();
        second.unwrap();
        let stored = place.found().await.unwrap();
        stored.verify(&|_| ()).await.unwrap();
        let copied = Bundle::open(&stored.copy(None, &place.cache()).await.unwrap()).unwrap();
        assert!([&one, &other].iter().any(|bundle| bundle.fingerprint() == copied.fingerprint()));
    }
}

#[tokio::test]
async fn progress_is_told_for_each_file() {
    let [place, _] = places().await;
    let seen = Mutex::new(Vec::new());
    let note = |progress: Progress<'_>| {
        if Some(progress.done_bytes) == progress.total_bytes {
            seen.lock().unwrap().push(progress.file.to_owned());
        }
    };
    let stored = put(&place.objects, &key(), &source(), &bundle("plain"), DIMENSION, &note).await.unwrap();
    let files: Vec<_> = bundle("plain").checksums().keys().cloned().collect();
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), files);
    stored.verify(&note).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), files);
}

#[test]
fn another_source_or_other_checksums_are_another_model() {
    let keys: Vec<_> = [("hf://org/repo@main", None), ("hf://org/repo@v1", None), ("hf://org/repo@main", Some("a"))]
        .map(|(source, file)| {
            let checksums = file.map(|file: &str| (file.to_owned(), Checksum::of(b"x"))).into_iter().collect();
            ModelKey::of(&source.parse().unwrap(), &checksums).as_str().to_owned()
        })
        .into();
    assert_eq!(ModelKey::of(&"hf://org/repo".parse().unwrap(), &FileChecksums::new()).as_str(), keys[0]);
    assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2], "{keys:?}");
}

#[tokio::test]
async fn neither_sweep_nor_check_nor_archive_touches_models() {
    let world = World::start().await;
    world.upload(b"one").await;
    world.work().await;
    let put = |world: &World| {
        let objects = world.stores.objects.clone();
        async move { put(&objects, &key(), &source(), &bundle("plain"), DIMENSION, &|_| ()).await.unwrap() }
    };
    put(&world).await;
    let before = world.keys(keys::MODELS).await;
    assert_eq!(before.len(), bundle("plain").checksums().len() + 1);
    assert_eq!(sweep(&world.stores, &world.collection, everything()).await.unwrap(), Swept::default());
    let checked = check(&world.stores, &world.collection, everything(), true, &|_| {}).await.unwrap();
    assert_eq!(checked.differences(), 0, "{checked:?}");
    assert_eq!(world.keys(keys::MODELS).await, before);

    let file = Utf8PathBuf::from_path_buf(world.folder.path().join("all.tar.zst")).unwrap();
    let done = archive::export(&world.stores, Some(world.collection.clone()), &file, |_| {}).await.unwrap();
    assert_eq!(done.images, 1);
    let other = World::start().await;
    archive::import(&other.stores, &other.collection, &file, |_| {}).await.unwrap();
    assert_eq!(other.keys(keys::MODELS).await, [], "each deployment fetches its own");
}

/// The tiny model in a folder of a bucket, whose name would be none of ours, beside what a model doesn't need.
async fn bucket_with_model(folder: &TempDir) -> (S3, String) {
    let settings = settings().await;
    let prefix = format!("{}/Models/ViT tiny", settings.prefix.as_deref().unwrap());
    let store = opened(&S3 { prefix: Some(prefix.clone()), ..settings.clone() }, folder).await;
    let files = bundle("plain").checksums().keys().cloned().collect::<Vec<_>>();
    for file in files {
        let bytes = std::fs::read(tiny("plain").join(&file)).unwrap();
        store.put(&ObjectKey::new(file).unwrap(), bytes.into(), PutCondition::None).await.unwrap();
    }
    store.put(&ObjectKey::new("chaff.bin").unwrap(), "chaff".into(), PutCondition::None).await.unwrap();
    (settings, prefix)
}

#[tokio::test]
async fn a_model_is_fetched_from_a_folder_of_a_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, prefix) = bucket_with_model(&folder).await;
    let open = async |bucket: &str, prefix: &str| {
        let remote = S3Folder::open(&settings, bucket, prefix).await.unwrap();
        let cache = Utf8Path::from_path(folder.path()).unwrap().join("cache");
        FetchOptions { bucket: Some(Arc::new(remote)), ..FetchOptions::new(cache) }
    };
    let source: Source = format!("s3://{}/{prefix}/", settings.bucket).parse().unwrap();
    let mut options = open(&settings.bucket, &prefix).await;
    let fetched = source.fetch(&options).await.unwrap();
    assert_eq!(Bundle::open(&fetched).unwrap().checksums(), bundle("plain").checksums());
    assert!(!fetched.join("chaff.bin").exists(), "only what the model needs");
    assert_eq!(source.fetch(&options).await.unwrap(), fetched);

    std::fs::remove_dir_all(&fetched).unwrap();
    options.checksums.insert("text.onnx".into(), Checksum::of(b"another"));
    let refused = source.fetch(&options).await.unwrap_err();
    assert!(matches!(refused, FetchError::Checksum { .. }) && refused.to_string().contains("text.onnx"), "{refused}");

    let nothing: Source = format!("s3://{}/{prefix}/nothing", settings.bucket).parse().unwrap();
    let refused = nothing.fetch(&open(&settings.bucket, &format!("{prefix}/nothing")).await).await.unwrap_err();
    assert!(refused.to_string().contains("holds no model"), "{refused}");
    let refused = source.fetch(&open("no-such-bucket", &prefix).await).await.unwrap_err();
    assert!(matches!(refused, FetchError::Remote { .. }), "{refused}");
    let refused = source.fetch(&FetchOptions::new(Utf8Path::from_path(folder.path()).unwrap())).await.unwrap_err();
    assert!(refused.to_string().contains("objects.type"), "{refused}");
}
