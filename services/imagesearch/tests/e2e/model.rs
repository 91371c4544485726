//! `imagesearch model`: a model is fetched once, for everybody who shares the object store.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};
use shared::config::S3;

use crate::{
    hub::{Hub, SOURCE},
    server::fixtures,
};

/// Nobody listens there.
const AWAY: &str = "http://127.0.0.1:1";

/// A machine with a cache of its own.
struct Machine {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Machine {
    /// Whose stores are its own.
    fn alone(hub: &str) -> Self {
        let environment = vec![("HF_ENDPOINT", hub.to_owned()), ("IMAGESEARCH_MODEL__SOURCE", SOURCE.to_owned())];
        Self { folder: tempfile::tempdir().unwrap(), environment }
    }

    /// Which shares an object store with others.
    fn sharing(s3: &S3, hub: &str) -> Self {
        let mut machine = Self::alone(hub);
        let secret = |secret: &Option<shared::config::Secret>| secret.as_ref().unwrap().reveal().to_owned();
        machine.environment.extend([
            ("IMAGESEARCH_OBJECTS__TYPE", "s3".to_owned()),
            ("IMAGESEARCH_OBJECTS__ENDPOINT", s3.endpoint.clone().unwrap()),
            ("IMAGESEARCH_OBJECTS__BUCKET", s3.bucket.clone()),
            ("IMAGESEARCH_OBJECTS__PREFIX", s3.prefix.clone().unwrap()),
            ("IMAGESEARCH_OBJECTS__CREATE_BUCKET", "true".to_owned()),
            ("IMAGESEARCH_OBJECTS__ACCESS_KEY_ID", secret(&s3.access_key_id)),
            ("IMAGESEARCH_OBJECTS__SECRET_ACCESS_KEY", secret(&s3.secret_access_key)),
        ]);
        machine
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Off the async threads, on which the hub answers.
    async fn model(&self, arguments: &[&str]) -> Output {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_imagesearch"));
        command.arg("model").args(arguments).args(["--json", "--data-dir"]).arg(self.folder.path().join("data"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).current_dir(self.folder.path());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn fetch(&self) -> Value {
        let output = self.model(&["fetch"]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The exit code and the message of a fetch that fails.
    async fn refused(&self) -> (i32, String) {
        let output = self.model(&["fetch"]).await;
        let told: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(told["exit_code"], output.status.code().unwrap());
        (output.status.code().unwrap(), told["error"].as_str().unwrap().to_owned())
    }
}

/// A part of the bucket that is nobody else's.
async fn shared_store() -> S3 {
    let endpoint = servers::shared_s3().await;
    S3 {
        prefix: Some(format!("{:016x}", rand::random::<u64>())),
        ..servers::settings_at(&endpoint, "imagesearch-tests")
    }
}

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bundled")
}

/// Its texts are words that it doesn't know: all of them have the same vector.
fn constant() -> PathBuf {
    fixtures().join("models/plain")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fetches_the_model_and_those_without_a_network_load_it() {
    let s3 = shared_store().await;
    let hub = Hub::start(&bundled()).await;
    let first = Machine::sharing(&s3, &hub.url).fetch().await;
    assert_eq!((&first["was_there"], &first["place"]), (&json!(false), &json!("the object store")));
    let asked = hub.requests();
    let second = Machine::sharing(&s3, &hub.url).fetch().await;
    assert_eq!(hub.requests(), asked, "the second one asks nobody");
    let expected = |name: &str| if name == "was_there" { json!(true) } else { first[name].clone() };
    for name in ["source", "name", "fingerprint", "dimension", "place", "was_there"] {
        assert_eq!(second[name], expected(name), "{name}");
    }

    let verified = Machine::sharing(&s3, AWAY).model(&["verify"]).await;
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(verified["fingerprint"], first["fingerprint"]);
    let another = Machine::sharing(&shared_store().await, AWAY).refused().await;
    assert_eq!(another.0, 3, "{}", another.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_one_machine_keep_the_model_in_its_cache() {
    let hub = Hub::start(&bundled()).await;
    let machine = Machine::alone(&hub.url);
    let fetched = machine.fetch().await;
    assert!(fetched["place"].as_str().unwrap().contains("data/models/"), "{fetched}");
    drop(hub);
    assert_eq!(machine.fetch().await["fingerprint"], fetched["fingerprint"], "the second one needs no hub");
    assert!(!machine.folder.path().join("data/objects").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_of_no_use_is_not_stored() {
    let s3 = shared_store().await;
    let hub = Hub::start(&constant()).await;
    let machine = Machine::sharing(&s3, &hub.url);
    let (code, told) = machine.refused().await;
    assert!(code == 1 && told.contains("the same vector"), "{code}: {told}");
    let (code, told) = Machine::sharing(&s3, AWAY).refused().await;
    assert!(code == 3 && told.contains(AWAY), "{code}: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_tells_whether_trying_again_may_help() {
    let hub = Hub::start(&bundled()).await;
    let unknown = Machine::alone(&hub.url).with("IMAGESEARCH_MODEL__SOURCE", "hf://org/unknown").refused().await;
    assert_eq!(unknown.0, 5, "{}", unknown.1);
    let text = Machine::alone(&hub.url).with("IMAGESEARCH_MODEL__SHA256", &"0".repeat(64)).refused().await;
    assert!(text.0 == 1 && text.1.contains("one for each file"), "{}", text.1);

    let machine = Machine::alone(&hub.url);
    let settings = machine.folder.path().join("conf");
    fs::create_dir(&settings).unwrap();
    let yaml = format!("model: {{sha256: {{model.yaml: '{}'}}}}", "0".repeat(64));
    fs::write(settings.join("imagesearch.yaml"), yaml).unwrap();
    let (code, told) = machine.refused().await;
    assert!(code == 1 && told.contains("model.yaml does not match its checksum"), "{code}: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_models_at_hand_are_listed_and_the_one_in_use_is_marked() {
    let hub = Hub::start(&bundled()).await;
    let machine = Machine::sharing(&shared_store().await, &hub.url);
    let list = async || -> Vec<Value> {
        let output = machine.model(&["list"]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
            .stdout
            .trim_ascii()
            .split(|byte| *byte == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    };
    let places = |listed: &[Value]| -> Vec<(String, bool)> {
        let place = |model: &Value| (model["place"].as_str().unwrap().to_owned(), model["in_use"] == true);
        listed.iter().map(place).collect()
    };
    let before = list().await;
    assert_eq!(places(&before), [("not_fetched".to_owned(), true), ("program".to_owned(), false)]);
    assert_eq!(before[0]["source"], SOURCE);
    assert!(!machine.folder.path().join("data/models").exists(), "a list fetches nothing");

    let fetched = machine.fetch().await;
    let after = list().await;
    let expected = [("object_store", true), ("cache", false), ("program", false)];
    assert_eq!(places(&after), expected.map(|(place, in_use)| (place.to_owned(), in_use)));
    for model in &after {
        for name in ["name", "fingerprint", "dimension"] {
            assert_eq!(model[name], fetched[name], "{model}");
        }
        assert_eq!(model["license"], "Apache-2.0 AND MIT AND WordNet-3.0");
        assert_eq!((&model["languages"], &model["fault"]), (&json!(["en"]), &Value::Null));
        assert!(model["size_bytes"].as_u64().unwrap() > 30_000_000, "{model}");
        assert_eq!(model["last_used"].is_string(), model["place"] == "cache", "{model}");
    }
}

#[test]
fn a_list_is_a_table_and_names_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let list = |source: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_imagesearch"));
        command.args(["model", "list"]).env("IMAGESEARCH_MODEL__SOURCE", source).current_dir(folder.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = list("bundled");
    let line = told.lines().nth(1).unwrap();
    assert!(line.starts_with("*  conse-efficientnet-lite0-minilm  bundled  program"), "{told}");
    assert!(line.contains("512") && line.contains("Apache-2.0 AND MIT AND WordNet-3.0  en"), "{told}");
    let second = list(&servers::second_model());
    assert!(second.lines().nth(1).unwrap().contains("256") && second.contains("not told"), "{second}");

    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let told = list(empty.to_str().unwrap());
    assert!(told.lines().nth(1).unwrap().contains("holds no model"), "{told}");
}
