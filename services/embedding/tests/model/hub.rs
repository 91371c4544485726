//! `hf://` against a local hub: listing, `resolve` with redirects to a storage of another origin, ETags, cuts, a token.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use camino::Utf8Path;
use embedding::{Bundle, BundleError, Checksum, FetchError, FetchOptions, Source};
use serde_json::json;
use tempfile::{TempDir, tempdir};
use url::Url;

use crate::{load, tiny, utf8};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_secret";

/// One request, as the hub (`/…`) or its storage (`storage:/…`) saw it.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    token: bool,
    range: Option<String>,
}

#[derive(Default)]
struct Hub {
    /// By path within the repository.
    files: BTreeMap<String, Bytes>,
    seen: Vec<Seen>,
    /// Answers of the storage that are cut off after so many bytes, by file.
    cuts: HashMap<String, Vec<usize>>,
    /// Where the storage is.
    storage: String,
    needs_token: bool,
    /// What the hub wrongly says about every large file.
    wrong_etag: Option<Checksum>,
    /// The storage answers 503 after a cut.
    storage_down: bool,
}

type Shared = Arc<Mutex<Hub>>;

struct World {
    hub: Shared,
    options: FetchOptions,
    cache: TempDir,
}

impl World {
    /// A hub whose repository `org/repo` holds the files of a tiny model, below `prefix`.
    async fn start(model: &str, prefix: &str) -> Self {
        let hub = Shared::default();
        let storage = serve(Router::new().fallback(answer_storage).with_state(Arc::clone(&hub))).await;
        let endpoint = serve(Router::new().fallback(answer_hub).with_state(Arc::clone(&hub))).await;
        let cache = tempdir().unwrap();
        let options = FetchOptions { hub_endpoint: endpoint, ..FetchOptions::new(utf8(&cache)) };
        {
            let mut hub = hub.lock().unwrap();
            hub.storage = storage.to_string();
            add_files(&mut hub.files, &tiny(model), prefix);
            hub.files.insert("README.md".into(), "not needed".into());
        }
        Self { hub, options, cache }
    }

    async fn fetch(&self, source: &str) -> Result<camino::Utf8PathBuf, FetchError> {
        source.parse::<Source>().unwrap().fetch(&self.options).await
    }

    fn change(&self, change: impl FnOnce(&mut Hub)) {
        change(&mut self.hub.lock().unwrap());
    }

    fn seen(&self) -> Vec<Seen> {
        self.hub.lock().unwrap().seen.clone()
    }

    /// Files that the storage or the hub was asked for.
    fn asked(&self) -> Vec<String> {
        let file = |seen: &Seen| seen.path.split_once(&format!("resolve/{COMMIT}/")).map(|(_, file)| file.to_owned());
        self.seen().iter().filter_map(file).collect()
    }
}

fn add_files(files: &mut BTreeMap<String, Bytes>, folder: &Utf8Path, prefix: &str) {
    for entry in
        walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file())
    {
        let name = Utf8Path::from_path(entry.path()).unwrap().strip_prefix(folder).unwrap();
        files.insert(format!("{prefix}{name}"), std::fs::read(entry.path()).unwrap().into());
    }
}

async fn serve(router: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn note(hub: &mut Hub, place: &str, request: &Request) {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    hub.seen.push(Seen {
        path: format!("{place}{}", request.uri().path()),
        token: header(header::AUTHORIZATION) == Some(&format!("Bearer {TOKEN}")),
        range: header(header::RANGE).map(str::to_owned),
    });
}

async fn answer_hub(State(hub): State<Shared>, request: Request) -> Response {
    let mut hub = hub.lock().unwrap();
    note(&mut hub, "", &request);
    if hub.needs_token && !hub.seen.last().unwrap().token {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let path = request.uri().path();
    if path == "/api/models/org/repo/revision/main" || path == "/api/models/org/repo/revision/refs%2Fpr%2F1" {
        let siblings: Vec<_> = hub.files.keys().map(|name| json!({"rfilename": name})).collect();
        return axum::Json(json!({"sha": COMMIT, "siblings": siblings})).into_response();
    }
    let name = path.strip_prefix(&format!("/org/repo/resolve/{COMMIT}/"));
    let Some((name, bytes)) = name.and_then(|name| Some((name, hub.files.get(name)?))) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if Utf8Path::new(name).extension() != Some("onnx") {
        return ([(header::ETAG, "\"git-hash\"")], bytes.clone()).into_response();
    }
    let checksum = hub.wrong_etag.unwrap_or(Checksum::of(bytes));
    let headers = [
        (header::LOCATION.as_str(), format!("{}{name}?signature=secret", hub.storage)),
        ("x-linked-etag", format!("\"{checksum}\"")),
        ("x-linked-size", bytes.len().to_string()),
        ("x-repo-commit", COMMIT.to_owned()),
    ];
    (StatusCode::FOUND, headers).into_response()
}

async fn answer_storage(State(hub): State<Shared>, request: Request) -> Response {
    let mut hub = hub.lock().unwrap();
    note(&mut hub, "storage:", &request);
    let name = request.uri().path().trim_start_matches('/').to_owned();
    let Some(bytes) = hub.files.get(&name).cloned() else { return StatusCode::NOT_FOUND.into_response() };
    if hub.storage_down && hub.seen.iter().filter(|seen| seen.path == format!("storage:/{name}")).count() > 1 {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let etag = format!("\"{}\"", Checksum::of(&bytes));
    let start = range_start(request.headers(), &etag);
    let rest = bytes.slice(start..);
    let length = rest.len();
    let body = match hub.cuts.get_mut(&name).and_then(Vec::pop) {
        Some(cut) => cut_body(rest.slice(..cut)),
        None => Body::from(rest),
    };
    let status = if start > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let headers = [
        (header::ETAG, etag),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_RANGE, format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())),
    ];
    (status, headers, body).into_response()
}

fn range_start(headers: &HeaderMap, etag: &str) -> usize {
    let unchanged = headers.get(header::IF_RANGE).is_none_or(|validator| validator == etag);
    let range = headers.get(header::RANGE).filter(|_| unchanged).map(|range| range.to_str().unwrap());
    range.map_or(0, |range| range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap())
}

/// A body that breaks off; the length in the head promised more.
fn cut_body(bytes: Bytes) -> Body {
    let parts = [Ok(bytes), Err(std::io::Error::other("cut"))];
    let stream = futures::stream::iter(parts);
    // The first part must have left before the connection breaks.
    Body::from_stream(futures::StreamExt::then(stream, async |part| {
        tokio::task::yield_now().await;
        part
    }))
}

#[tokio::test]
async fn only_needed_files_are_fetched_and_the_model_works() {
    let world = World::start("open_clip", "").await;
    world.change(|hub| {
        for chaff in ["visual/rknpu/model.rknn", "textual/fp16/model.armnn", "visual/model.armnn", "onnx/model.onnx"] {
            hub.files.insert(chaff.into(), "chaff".into());
        }
        hub.files.insert("README.md".into(), "---\nlicense: mit\nlanguage: [en, de]\n---\n# A model\n".into());
    });
    let folder = world.fetch("hf://org/repo").await.unwrap();
    let mut asked = world.asked();
    asked.sort();
    let expected = [
        "README.md",
        "config.json",
        "textual/model.onnx",
        "textual/tokenizer.json",
        "textual/tokenizer_config.json",
        "visual/model.onnx",
        "visual/preprocess_cfg.json",
    ];
    assert_eq!(asked, expected);
    load(&folder).await.unwrap();
    let bundle = Bundle::open(&folder).unwrap();
    assert_eq!(bundle.manifest().license.as_deref(), Some("mit"));
    assert_eq!(bundle.manifest().languages, ["en", "de"]);
    assert_eq!(
        bundle.fingerprint(),
        Bundle::open(&tiny("open_clip")).unwrap().fingerprint(),
        "a card computes nothing"
    );
}

#[tokio::test]
async fn a_model_yaml_in_a_subfolder_brings_the_files_that_it_names() {
    let world = World::start("plain", "small/v1/").await;
    world.change(|hub| {
        hub.files.insert("small/v1/image.onnx_data".into(), "weights".into());
        hub.files.insert("small/v1/other.onnx".into(), "chaff".into());
    });
    let folder = world.fetch("hf://org/repo@refs%2Fpr%2F1/small/v1").await.unwrap();
    let mut asked = world.asked();
    asked.sort();
    let expected = ["image.onnx", "image.onnx_data", "model.yaml", "text.onnx", "tokenizer.json"];
    assert_eq!(asked, expected.map(|name| format!("small/v1/{name}")));
    assert!(folder.join("model.yaml").exists());
}

#[tokio::test]
async fn the_wanted_variant_is_fetched_and_no_other() {
    let world = World::start("clip", "").await;
    world.change(|hub| {
        for half in ["vision", "text"] {
            let graph = hub.files[&format!("onnx/{half}_model.onnx")].clone();
            hub.files.insert(format!("onnx/{half}_model_fp16.onnx"), graph);
        }
    });
    let source: Source = "hf://org/repo?variant=fp16".parse().unwrap();
    let folder = source.fetch(&world.options).await.unwrap();
    assert!(!world.asked().iter().any(|file| file.ends_with("_model.onnx")));
    Bundle::open_variant(&folder, source.variant()).unwrap();
}

#[tokio::test]
async fn the_token_goes_to_the_hub_and_not_to_its_storage() {
    let mut world = World::start("clip", "").await;
    world.change(|hub| hub.needs_token = true);
    let error = world.fetch("hf://org/repo").await.unwrap_err();
    assert!(matches!(error, FetchError::Denied { status: 401, .. }));
    assert!(error.to_string().contains("HF_TOKEN"), "{error}");

    world.options.hub_token = Some(TOKEN.into());
    world.change(|hub| hub.seen.clear());
    world.fetch("hf://org/repo").await.unwrap();
    let seen = world.seen();
    assert!(seen.iter().any(|seen| seen.path.starts_with("storage:")));
    assert!(seen.iter().all(|seen| seen.token != seen.path.starts_with("storage:")), "{seen:?}");
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_stopped() {
    let world = World::start("clip", "").await;
    world.change(|hub| {
        hub.cuts.insert("onnx/text_model.onnx".into(), vec![50, 100]);
    });
    let folder = world.fetch("hf://org/repo").await.unwrap();
    let ranges: Vec<_> = world
        .seen()
        .into_iter()
        .filter(|seen| seen.path == "storage:/onnx/text_model.onnx")
        .map(|seen| seen.range)
        .collect();
    assert_eq!(ranges, [None, Some("bytes=100-".to_owned()), Some("bytes=150-".to_owned())]);
    load(&folder).await.unwrap();
}

#[tokio::test]
async fn a_later_fetch_goes_on_too_and_keeps_what_is_whole() {
    let world = World::start("clip", "").await;
    let file = "onnx/text_model.onnx";
    world.change(|hub| {
        hub.cuts.insert(file.into(), vec![100]);
        hub.storage_down = true;
    });
    let error = world.fetch("hf://org/repo").await.unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 503, .. }), "{error}");
    assert!(!error.to_string().contains("signature"), "{error}");

    world.change(|hub| {
        hub.storage_down = false;
        hub.seen.clear();
    });
    let folder = world.fetch("hf://org/repo").await.unwrap();
    assert!(!world.asked().contains(&"config.json".to_owned()));
    let seen = world.seen();
    let again = seen.iter().find(|seen| seen.path == format!("storage:/{file}")).unwrap();
    assert_eq!(again.range.as_deref(), Some("bytes=100-"));
    load(&folder).await.unwrap();
}

#[tokio::test]
async fn a_file_that_changed_since_the_cut_starts_over() {
    let world = World::start("clip", "").await;
    let file = "onnx/text_model.onnx";
    world.change(|hub| {
        hub.cuts.insert(file.into(), vec![100]);
        hub.storage_down = true;
    });
    world.fetch("hf://org/repo").await.unwrap_err();
    world.change(|hub| {
        hub.storage_down = false;
        let mut changed = hub.files[file].to_vec();
        changed[10] ^= 1;
        hub.files.insert(file.into(), changed.into());
    });
    let folder = world.fetch("hf://org/repo").await.unwrap();
    let expected = world.hub.lock().unwrap().files[file].clone();
    assert_eq!(std::fs::read(folder.join(file)).unwrap(), expected);
}

#[tokio::test]
async fn a_file_that_is_not_what_the_hub_promised_is_refused() {
    let world = World::start("clip", "").await;
    world.change(|hub| hub.wrong_etag = Some(Checksum::of(b"another file")));
    let error = world.fetch("hf://org/repo").await.unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    // And nothing of it stays, so that the next fetch gets it right.
    world.change(|hub| hub.wrong_etag = None);
    load(&world.fetch("hf://org/repo").await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_repository_with_only_a_merged_graph_is_refused_before_anything_is_fetched() {
    let world = World::start("clip", "").await;
    world.change(|hub| {
        hub.files.retain(|name, _| !name.starts_with("onnx/"));
        hub.files.insert("onnx/model.onnx".into(), "merged".into());
    });
    let error = world.fetch("hf://org/repo").await.unwrap_err();
    assert!(matches!(error, FetchError::Bundle(BundleError::MergedOnly { .. })), "{error}");
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn what_was_fetched_needs_no_hub_any_more() {
    let mut world = World::start("clip", "").await;
    let folder = world.fetch("hf://org/repo@main").await.unwrap();
    // Nobody listens on port 1.
    world.options.hub_endpoint = "http://127.0.0.1:1".parse().unwrap();
    assert_eq!(world.fetch(&format!("hf://org/repo@{COMMIT}")).await.unwrap(), folder);
    assert_eq!(world.fetch("hf://org/repo@main").await.unwrap(), folder);
    let error = world.fetch("hf://org/repo@other").await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_model_beyond_the_limit_is_refused_while_it_streams() {
    let mut world = World::start("clip", "").await;
    world.options.max_bytes = 2000;
    let error = world.fetch("hf://org/repo").await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    assert!(!utf8(&world.cache).join("hub/org--repo").join(COMMIT).exists());
}

#[tokio::test]
async fn an_unknown_repository_is_not_found() {
    let world = World::start("clip", "").await;
    let error = world.fetch("hf://org/nothing").await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn two_that_want_the_same_model_fetch_it_once() {
    let world = World::start("clip", "").await;
    let (one, other) = tokio::join!(world.fetch("hf://org/repo"), world.fetch("hf://org/repo"));
    assert_eq!(one.unwrap(), other.unwrap());
    let graphs = world.asked().iter().filter(|file| file.ends_with("vision_model.onnx")).count();
    assert_eq!(graphs, 1);
}

#[tokio::test]
async fn a_file_that_is_not_what_the_user_expects_is_refused_and_named() {
    let mut world = World::start("clip", "").await;
    for file in ["config.json", "onnx/text_model.onnx"] {
        world.options.checksums = [(file.to_owned(), Checksum::of(b"another"))].into();
        let error = world.fetch("hf://org/repo").await.unwrap_err();
        assert!(matches!(error, FetchError::Checksum { .. }) && error.to_string().contains(file), "{error}");
    }
    let files = world.hub.lock().unwrap().files.clone();
    let expected = ["config.json", "onnx/text_model.onnx"].map(|file| (file.to_owned(), Checksum::of(&files[file])));
    world.options.checksums = expected.into();
    load(&world.fetch("hf://org/repo").await.unwrap()).await.unwrap();
}
