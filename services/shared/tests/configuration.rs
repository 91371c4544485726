//! What a user meets when configuring: layers, mistakes, and the reference.
#![allow(clippy::unwrap_used)]

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
};

use camino::{Utf8Path, Utf8PathBuf};
use shared::config::{self, AuthMode, Config, ConfigError, ConfigProblem, ModelChecksums, Queue, Source};

fn root() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn load(yaml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().join("config.yaml")).unwrap();
    fs::write(&path, yaml).unwrap();
    config::load(
        &Source::File(path),
        variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))),
    )
}

fn problems(yaml: &str, variables: &[(&str, &str)]) -> Vec<ConfigProblem> {
    match load(yaml, variables) {
        Err(ConfigError::Invalid(problems)) => problems,
        other => panic!("expected problems, found {other:?}"),
    }
}

fn texts(problems: &[ConfigProblem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_shipped_file_loads() {
    for role in ["imagesearch", "ingestapi", "ingestworker", "searchapi", "cdnapi"] {
        let path = root().join(format!("conf/{role}.yaml"));
        config::load(&Source::File(path), []).unwrap_or_else(|fault| panic!("{role}: {fault}"));
    }
}

#[test]
fn nothing_set_is_the_default() {
    assert_eq!(load("", &[]).unwrap(), Config::default());
    assert_eq!(load("# only a comment\nauth:\n", &[]).unwrap(), Config::default());
}

#[test]
fn a_variable_wins_over_the_file_whatever_its_case() {
    let yaml = "auth: {mode: none}\nsearchapi: {max_limit: 5, listen: '127.0.0.1:1'}\n";
    let config =
        load(yaml, &[("IMAGESEARCH_SEARCHAPI__MAX_LIMIT", "7"), ("imagesearch_log__filter", "debug")]).unwrap();
    assert_eq!(config.auth.mode, AuthMode::None);
    assert_eq!(config.searchapi.max_limit, 7);
    assert_eq!(config.searchapi.listen.port(), 1);
    assert_eq!(config.log.filter, "debug");
}

#[test]
fn lists_are_separated_by_commas() {
    let config = load(
        "",
        &[
            ("IMAGESEARCH_CDNAPI__VARIANT_SIZES", "100, 200"),
            ("IMAGESEARCH_INGESTWORKER__FETCH__ALLOW_NETWORKS", "10.1.0.0/16,fd00::/8"),
        ],
    )
    .unwrap();
    assert_eq!(config.cdnapi.variant_sizes, [100, 200]);
    assert_eq!(config.ingestworker.fetch.allow_networks, ["10.1.0.0/16", "fd00::/8"]);
}

#[test]
fn an_adapter_keeps_its_other_defaults_when_one_key_is_set() {
    let config = load("", &[("IMAGESEARCH_QUEUE__MAX_JOBS", "5")]).unwrap();
    assert_eq!(config.queue, Queue::Sqlite { path: None, max_jobs: 5, keep_tasks: 100_000 });
}

#[test]
fn distributed_stores_are_chosen_by_configuration_alone() {
    let variables = [
        ("IMAGESEARCH_OBJECTS__TYPE", "s3"),
        ("IMAGESEARCH_OBJECTS__BUCKET", "photos"),
        ("IMAGESEARCH_OBJECTS__ACCESS_KEY_ID", "key"),
        ("IMAGESEARCH_OBJECTS__SECRET_ACCESS_KEY", "hunter2"),
        ("IMAGESEARCH_QUEUE__TYPE", "jetstream"),
        ("IMAGESEARCH_QUEUE__SERVERS", "nats://a:4222, nats://b:4222"),
        ("IMAGESEARCH_INDEX__TYPE", "milvus"),
        ("IMAGESEARCH_INDEX__TOKEN", "hunter3"),
    ];
    let config = load("", &variables).unwrap();
    assert!(config.embedded_stores().is_empty());
    assert_eq!(config.queue.max_jobs(), 100_000, "what isn't set has the default of its adapter");
    let told = config.to_yaml().unwrap() + &format!("{config:?}");
    assert!(told.contains("photos") && !told.contains("hunter"), "{told}");
    assert_eq!(load("", &[]).unwrap().embedded_stores(), ["objects", "queue", "index"]);
}

#[test]
fn settings_of_stores_that_contradict_each_other_are_told() {
    let yaml = "
        objects: {type: s3, endpoint: 'minio:9000', access_key_id: key, part_size_bytes: 100, server_side_encryption: rot13}
        queue: {type: jetstream, replicas: 2, user: me, token: t, name: 'a b', key_file: /key}
        index: {type: milvus, url: 'ftp://milvus', collection_prefix: 9-lives, user: me, token: t}
    ";
    let told = texts(&problems(yaml, &[])).join("\n");
    for key in [
        "objects.endpoint",
        "objects.secret_access_key",
        "objects.part_size_bytes",
        "objects.server_side_encryption",
        "queue.replicas",
        "queue.user",
        "queue.name",
        "queue.key_file",
        "index.url",
        "index.collection_prefix",
        "index.token",
    ] {
        assert!(told.contains(key), "{key} is not in:\n{told}");
    }
}

/// A server takes many of them for "no limit", or refuses them for ever while a process waits for it.
#[test]
fn numbers_that_a_store_would_misread_are_refused() {
    let stores = "queue: {type: jetstream}\nindex: {type: milvus}\n";
    let variable = |key: &str| format!("IMAGESEARCH_{}", key.replace('.', "__").to_uppercase());
    let told = |yaml: &str, key: &str, value: u64| texts(&problems(yaml, &[(&variable(key), &value.to_string())]));
    let (count, seconds, parameter) = (i64::MAX.unsigned_abs(), 9_223_372_036, 2_147_483_647);
    for (key, least, most) in [
        ("queue.max_jobs", 1, count),
        ("queue.keep_tasks", 1, count),
        ("queue.keep_tasks_for_s", 1, seconds),
        ("queue.duplicate_window_s", 1, seconds),
        ("index.hnsw_m", 2, 2048),
        ("index.hnsw_ef_construction", 1, parameter),
        ("index.hnsw_ef", 1, parameter),
        ("index.replicas", 1, parameter),
    ] {
        for value in [least - 1, most + 1] {
            assert_eq!(told(stores, key, value), [format!("{key}: must lie between {least} and {most}")], "{value}");
        }
        for value in [least, most] {
            load(stores, &[(&variable(key), &value.to_string())]).unwrap();
        }
    }
    for key in ["queue.max_jobs", "queue.keep_tasks"] {
        assert_eq!(told("", key, 0), [format!("{key}: must lie between 1 and {count}")]);
    }
}

#[test]
fn a_secret_comes_from_a_file_and_never_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "hf_secret\n").unwrap();
    let config = load("", &[("IMAGESEARCH_MODEL__TOKEN_FILE", path.to_str().unwrap())]).unwrap();
    assert_eq!(config.model.token.as_ref().unwrap().reveal(), "hf_secret");
    assert!(!config.to_yaml().unwrap().contains("hf_secret"));
    assert!(!format!("{config:?}").contains("hf_secret"));

    let missing = problems("", &[("IMAGESEARCH_MODEL__TOKEN_FILE", "/nowhere/token")]);
    assert!(matches!(&missing[..], [ConfigProblem::SecretFile { path, .. }] if path == "/nowhere/token"));
    let twice = [("IMAGESEARCH_MODEL__TOKEN", "a"), ("IMAGESEARCH_MODEL__TOKEN_FILE", path.to_str().unwrap())];
    let twice = texts(&problems("", &twice));
    assert_eq!(twice, ["IMAGESEARCH_MODEL__TOKEN and IMAGESEARCH_MODEL__TOKEN_FILE are both set; keep one"]);
}

#[test]
fn a_key_that_ends_in_file_is_not_taken_for_a_secret() {
    let config = load("", &[("IMAGESEARCH_AUTH__KEYS_FILE", "/etc/keys.json")]).unwrap();
    assert_eq!(config.keys_file(), "/etc/keys.json");
    assert_eq!(Config::default().keys_file(), "data/keys.json");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let found = problems(
        "ingestapi: {max_image_byte: 5}\nbatch_size: 4\nqueues: {}\n",
        &[("IMAGESEARCH_SEARCHAPI__LISTN", "127.0.0.1:1"), ("IMAGESEARCH_SEARCHAPI__SERVICE_HOST", "x")],
    );
    let nearest: Vec<_> = found
        .iter()
        .map(|problem| match problem {
            ConfigProblem::UnknownKey { key, nearest, .. } => (key.as_str(), nearest.as_str()),
            other => panic!("{other}"),
        })
        .collect();
    assert!(nearest.contains(&("ingestapi.max_image_byte", "ingestapi.max_image_bytes")), "{nearest:?}");
    assert!(nearest.contains(&("batch_size", "ingestworker.batch_size")), "{nearest:?}");
    assert!(nearest.contains(&("searchapi.listn", "searchapi.listen")), "{nearest:?}");
    assert_eq!(nearest.len(), 5);
    assert!(texts(&found)[0].contains("did you mean"), "{found:?}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let found = texts(&problems(
        "searchapi: {listen: nowhere, max_limit: many}\nqueue: {type: carrier_pigeon}\nlog: {filter: 'a=b=c'}\n",
        &[("IMAGESEARCH_HTTP__IDLE_TIMEOUT_MS", "soon"), ("IMAGESEARCH_INGESTWORKER__BATCH_SIZE", "0")],
    ));
    for part in [
        "searchapi.listen: \"nowhere\" is not an address with a port; write it as 127.0.0.1:3000",
        "searchapi.max_limit: invalid type: string \"many\"",
        "queue.type: unknown variant `carrier_pigeon`, expected `sqlite`",
        "log.filter: \"a=b=c\"",
        "http.idle_timeout_ms: expected a number, found \"soon\"",
        "ingestworker.batch_size: must be more than 0",
    ] {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part} is not in {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn bytes_that_are_no_text_matter_only_in_our_own_variables() {
    let (odd, text) = (OsStr::from_bytes(b"\xff\xfe").to_owned(), OsString::from("debug"));
    let load = |variables: [(&OsStr, &OsStr); 1]| {
        config::load(&Source::Role("no-such-role"), variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    assert_eq!(load([(OsStr::new("LS_COLORS"), &odd)]).unwrap(), Config::default());
    assert_eq!(load([(&odd, &text)]).unwrap(), Config::default());
    for name in ["IMAGESEARCH_LOG__FILTER", "HF_TOKEN"] {
        let refused = load([(OsStr::new(name), &odd)]).unwrap_err().to_string();
        assert!(refused.contains(&format!("{name} is not UTF-8 text")), "{refused}");
    }
}

#[test]
fn a_model_has_one_checksum_or_one_for_each_file() {
    let (one, other) = ("0".repeat(64), "ab".repeat(32));
    let yaml = format!("model: {{sha256: {{visual/model.onnx: '{one}', config.json: '{other}'}}}}");
    let of_files = load(&yaml, &[]).unwrap();
    let Some(ModelChecksums::Files(files)) = &of_files.model.sha256 else { panic!("{:?}", of_files.model) };
    assert_eq!((&files["visual/model.onnx"], &files["config.json"]), (&one, &other));
    assert_eq!(load(&of_files.to_yaml().unwrap(), &[]).unwrap(), of_files);

    // A variable is one text, and takes the place of the mapping as a whole.
    let of_archive = load(&yaml, &[("IMAGESEARCH_MODEL__SHA256", &other)]).unwrap();
    assert_eq!(of_archive.model.sha256, Some(ModelChecksums::Archive(other)));
    assert_eq!(load("", &[("IMAGESEARCH_MODEL__SHA256", "")]).unwrap().model.sha256, None);
}

#[test]
fn a_checksum_of_another_form_is_told_with_its_file() {
    for (yaml, told) in [
        ("model: {sha256: abc}", "model.sha256: must be 64 hexadecimal digits"),
        ("model: {sha256: {a/b.onnx: abc}}", "model.sha256: of a/b.onnx must be 64 hexadecimal digits"),
        ("model: {sha256: [abc]}", "model.sha256: expected 64 hexadecimal digits, or a mapping of files to them"),
        ("searchapi: {max_limit: {a: 1}}", "searchapi.max_limit: invalid type: map, expected usize"),
    ] {
        assert_eq!(texts(&problems(yaml, &[])), [told]);
    }
}

#[test]
fn a_data_folder_without_a_name_is_refused() {
    assert_eq!(texts(&problems("data_dir: ''\n", &[])), ["data_dir: must name a folder"]);
}

#[test]
fn a_file_that_is_missing_or_no_yaml_is_named() {
    let missing = config::load(&Source::File("/nowhere/config.yaml".into()), []).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/config.yaml"));
    let broken = load("auth: [unclosed", &[]).unwrap_err().to_string();
    assert!(broken.contains("config.yaml"), "{broken}");
    assert_eq!(config::load(&Source::Role("no-such-role"), []).unwrap(), Config::default());
}

#[test]
fn the_effective_configuration_gives_itself_again() {
    let config = load("searchapi: {max_limit: 5}\nmodel: {source: '/models/clip'}\n", &[]).unwrap();
    assert_eq!(load(&config.to_yaml().unwrap(), &[]).unwrap(), config);
}

#[test]
fn the_reference_is_current_and_describes_every_key() {
    let path = root().join("docs/configuration.md");
    let markdown = config::markdown();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &markdown).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    for (committed, current) in committed.lines().zip(markdown.lines()) {
        assert_eq!(committed, current, "docs/configuration.md is stale; run this again with UPDATE_GENERATED=1");
    }
    assert_eq!(
        committed.len(),
        markdown.len(),
        "docs/configuration.md is stale; run this again with UPDATE_GENERATED=1"
    );
    for line in markdown.lines().filter(|line| line.starts_with("| `")) {
        assert!(!line.ends_with("|  |"), "no meaning: {line}");
    }
}
