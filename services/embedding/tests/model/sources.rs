//! What a source may be called, and archives: four kinds, and none that is trusted.

use std::io::Write;

use axum::{Router, body::Bytes, routing::get};
use camino::{Utf8Path, Utf8PathBuf};
use embedding::{Bundle, BundleError, Checksum, FetchError, FetchOptions, Source};
use tempfile::{TempDir, tempdir};

use crate::{load, tiny, utf8};

/// A web server with one archive, and an empty cache.
struct World {
    url: String,
    options: FetchOptions,
    cache: TempDir,
}

impl World {
    async fn start(archive: Vec<u8>) -> Self {
        let archive = Bytes::from(archive);
        let router = Router::new().route("/model", get(move || async move { archive }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://user:password@{}/model", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let cache = tempdir().unwrap();
        Self { url, options: FetchOptions::new(utf8(&cache)), cache }
    }

    async fn fetch(&self, fragment: &str) -> Result<Utf8PathBuf, FetchError> {
        format!("{}{fragment}", self.url).parse::<Source>().unwrap().fetch(&self.options).await
    }

    /// Everything below the cache that isn't a lock.
    fn leftovers(&self) -> Vec<Utf8PathBuf> {
        let files = walkdir::WalkDir::new(self.cache.path()).into_iter().map(Result::unwrap);
        let files = files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
        files
            .map(|path| Utf8PathBuf::from_path_buf(path).unwrap())
            .filter(|path| path.extension() != Some("lock"))
            .collect()
    }
}

fn tar(top: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(top, tiny("plain")).unwrap();
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(folder: &Utf8Path) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for entry in folder.read_dir_utf8().unwrap().map(Result::unwrap) {
        zip.start_file(entry.file_name(), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&std::fs::read(entry.path()).unwrap()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A tar of one entry under any name, also one that the `tar` crate itself would refuse to write.
fn hostile_tar(name: &[u8], kind: tar::EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_link_name("/etc/passwd").unwrap();
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header, content).unwrap();
    tar.into_inner().unwrap()
}

#[tokio::test]
async fn archives_of_all_kinds_are_unpacked_once_and_work() {
    let tar = tar("model-v1");
    for archive in [tar.clone(), gzip(&tar), zstd::encode_all(tar.as_slice(), 0).unwrap(), zip(&tiny("plain"))] {
        let checksum = Checksum::of(&archive);
        let world = World::start(archive).await;
        let folder = world.fetch(&format!("#sha256={checksum}")).await.unwrap();
        load(&folder).await.unwrap();
        assert!(world.leftovers().iter().all(|path| path.starts_with(&folder)), "{:?}", world.leftovers());
        assert_eq!(world.fetch(&format!("#sha256={checksum}")).await.unwrap(), folder);
    }
}

#[tokio::test]
async fn an_archive_with_another_checksum_is_refused_and_leaves_nothing() {
    let world = World::start(tar(".")).await;
    let error = world.fetch(&format!("#sha256={}", "0".repeat(64))).await.unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    assert!(!error.to_string().contains("password"), "{error}");
    assert_eq!(world.leftovers(), Vec::<Utf8PathBuf>::new());
}

#[tokio::test]
async fn a_file_of_an_archive_with_another_checksum_is_named_and_leaves_nothing() {
    let mut world = World::start(tar("model-v1")).await;
    let expect = |file: &str, checksum| [(file.to_owned(), checksum)].into();
    world.options.checksums = expect("image.onnx", Checksum::of(b"another"));
    let error = world.fetch("").await.unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    assert!(error.to_string().contains("/model/image.onnx") && !error.to_string().contains("password"), "{error}");
    world.options.checksums = expect("imagé.onnx", Checksum::of(b"another"));
    let error = world.fetch("").await.unwrap_err().to_string();
    assert!(error.contains("imagé.onnx is missing"), "{error}");
    assert_eq!(world.leftovers(), Vec::<Utf8PathBuf>::new());

    let found = Bundle::open(&tiny("plain")).unwrap().checksums()["image.onnx"];
    world.options.checksums = expect("image.onnx", found);
    load(&world.fetch("").await.unwrap()).await.unwrap();
}

#[test]
fn a_model_is_what_its_files_are_expected_to_be() {
    let bundle = Bundle::open(&tiny("plain")).unwrap();
    bundle.expect(bundle.checksums()).unwrap();
    let refused = |file: &str| bundle.expect(&[(file.to_owned(), Checksum::of(b"x"))].into()).unwrap_err();
    assert!(matches!(refused("text.onnx"), BundleError::Checksum { path, .. } if path.ends_with("text.onnx")));
    let typo = refused("test.onnx").to_string();
    assert!(typo.contains("test.onnx") && typo.contains("it has image.onnx, "), "{typo}");
}

#[test]
fn what_may_be_shown_of_a_source_has_no_password() {
    let shown = |text: &str| text.parse::<Source>().unwrap().shown();
    assert_eq!(shown("https://me:secret@example.org/model.zip?signature=secret"), "https://example.org/model.zip");
    assert_eq!(shown("hf://org/repo"), "hf://org/repo@main");
}

#[tokio::test]
async fn hostile_archives_write_nothing_outside_and_leave_nothing() {
    let file = tar::EntryType::Regular;
    let mut twice = hostile_tar(b"twice", file, b"x");
    twice.truncate(1024);
    twice.extend(hostile_tar(b"twice", file, b"x"));
    for (archive, reason) in [
        (hostile_tar(b"../evil", file, b"x"), "points outside"),
        (hostile_tar(b"a/../../evil", file, b"x"), "points outside"),
        (hostile_tar(b"/tmp/evil", file, b"x"), "points outside"),
        (hostile_tar(b"link", tar::EntryType::Symlink, b""), "only plain files"),
        (hostile_tar(b"link", tar::EntryType::Link, b""), "only plain files"),
        (hostile_tar(b"device", tar::EntryType::Char, b""), "only plain files"),
        (twice, "twice"),
        (b"no archive".to_vec(), "not a tar"),
        (gzip(b"no tar")[..12].to_vec(), "cannot be unpacked"),
    ] {
        let world = World::start(archive).await;
        let error = world.fetch("").await.unwrap_err();
        assert!(matches!(error, FetchError::Archive { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(world.leftovers(), Vec::<Utf8PathBuf>::new());
    }
}

#[tokio::test]
async fn a_small_archive_that_unpacks_without_end_is_stopped_at_the_limit() {
    let bomb = gzip(&hostile_tar(b"zeros", tar::EntryType::Regular, &vec![0; 8 << 20]));
    let mut world = World::start(bomb).await;
    world.options.max_bytes = 1 << 20;
    let error = world.fetch("").await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit_bytes: 1_048_576, .. }), "{error}");
    assert_eq!(world.leftovers(), Vec::<Utf8PathBuf>::new());
}

#[tokio::test]
async fn a_missing_archive_is_not_found() {
    let world = World::start(Vec::new()).await;
    let error = world.fetch("s").await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn progress_is_reported_up_to_the_end() {
    let archive = tar(".");
    let length = archive.len() as u64;
    let mut world = World::start(archive).await;
    let last = std::sync::Arc::new(std::sync::Mutex::new((0, None)));
    let seen = std::sync::Arc::clone(&last);
    world.options.progress = std::sync::Arc::new(move |progress: embedding::Progress<'_>| {
        *seen.lock().unwrap() = (progress.done_bytes, progress.total_bytes);
    });
    world.fetch("").await.unwrap();
    assert_eq!(*last.lock().unwrap(), (length, Some(length)));
}

#[test]
fn a_source_is_written_as_it_is_read() {
    let checksum = "0".repeat(64);
    for text in [
        "models/bundled",
        "https://example.org/model.tar.zst",
        &format!("https://example.org/model.zip#sha256={checksum}"),
        "hf://org/repo@main",
        "hf://org/repo@v1.0/sub/folder?variant=fp16",
        "hf://org/repo@refs%2Fpr%2F1",
        "s3://bucket",
        "s3://bucket/sub/folder?variant=fp16",
    ] {
        assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
    }
    assert_eq!("hf://org/repo".parse::<Source>().unwrap().to_string(), "hf://org/repo@main");
}

#[test]
fn what_is_no_source_says_what_would_be() {
    for text in [
        "",
        "ftp://host/model",
        "s3:///model",
        "s3://bucket/model?x=1",
        "hf://org",
        "hf://org/..",
        "hf://org/repo@",
        "hf://org/repo/../x",
        "hf://o/r?x=1",
        "https://h/#md5=1",
    ] {
        let error = text.parse::<Source>().unwrap_err();
        assert!(error.to_string().contains("hf://org/repo"), "{error}");
    }
}
