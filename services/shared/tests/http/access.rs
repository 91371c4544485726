//! Keys, scopes, sessions, and the ways in that must stay shut.

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    time::Duration,
};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use shared::{
    config::{AuthMode, Config},
    http::{Auth, Kit, Scope, ServeError, bind, serve},
    telemetry::Metrics,
};
use tokio_util::sync::CancellationToken;

use crate::world::{World, problem};

/// Asks until the status is the one; the test harness ends what never comes true.
async fn becomes(status: u16, request: impl Fn() -> RequestBuilder) {
    while request().send().await.unwrap().status() != status {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn session(world: &World, cookie: &str) -> Value {
    let request = world.client.get(world.url("/api/v1/session")).header("cookie", cookie);
    request.send().await.unwrap().json().await.unwrap()
}

/// Signs in and gives the cookie as a browser sends it back.
async fn sign_in(world: &World, key: &str) -> String {
    let response = world.client.post(world.url("/api/v1/session")).json(&json!({"key": key})).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(key.rsplit('_').next().unwrap()), "the cookie shows the key");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn without_keys_everything_is_open_on_loopback() {
    let world = World::start().await;
    assert_eq!(world.get("/read").await.status(), 200);
    assert_eq!(world.client.post(world.url("/write")).send().await.unwrap().status(), 200);
    let state = session(&world, "").await;
    assert_eq!(state, json!({"auth": "open", "scopes": ["read", "ingest", "delete", "admin"]}));
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say() {
    let world = World::start().await;
    let (_, reader) = world.key(&[Scope::Read]);
    let (_, admin) = world.key(&[Scope::Admin]);
    let read = |key: &str| world.client.get(world.url("/read")).bearer_auth(key);
    let write = |key: &str| world.client.post(world.url("/write")).bearer_auth(key);

    // The first key shuts the door within a second.
    becomes(401, || world.client.get(world.url("/read"))).await;
    let response = world.get("/read").await;
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    problem(response, 401, "unauthorized").await;

    assert_eq!(read(&reader).send().await.unwrap().status(), 200);
    let body = problem(write(&reader).send().await.unwrap(), 403, "forbidden").await;
    assert_eq!(body["scope"], "ingest");
    assert_eq!(write(&admin).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_key_that_is_almost_right_is_refused() {
    let world = World::start().await;
    let (id, key) = world.key(&[Scope::Read]);
    becomes(401, || world.client.get(world.url("/read"))).await;
    let other = if key.ends_with('0') { "1" } else { "0" };
    for wrong in [format!("{}{other}", &key[..key.len() - 1]), format!("isk_{id}_"), "isk_".into(), "x".into()] {
        let response = world.client.get(world.url("/read")).bearer_auth(&wrong).send().await.unwrap();
        problem(response, 401, "unauthorized").await;
    }
}

#[tokio::test]
async fn a_revoked_key_and_its_session_end_and_nothing_opens() {
    let world = World::start().await;
    let (id, key) = world.key(&[Scope::Read]);
    let read = || world.client.get(world.url("/read"));
    becomes(401, read).await;
    let cookie = sign_in(&world, &key).await;
    assert_eq!(read().header("cookie", &cookie).send().await.unwrap().status(), 200);

    assert!(world.keys.revoke(&id).unwrap().revoked.is_some());
    becomes(401, || read().bearer_auth(&key)).await;
    problem(read().header("cookie", &cookie).send().await.unwrap(), 401, "unauthorized").await;
    // The only key there ever was is gone; that doesn't make the server open again.
    problem(read().send().await.unwrap(), 401, "unauthorized").await;
    assert!(world.keys.revoke("0123").unwrap_err().to_string().contains("imagesearch keys list"));
}

#[tokio::test]
async fn a_session_survives_a_restart_and_ends_at_sign_out() {
    let world = World::start().await;
    let (_, key) = world.key(&[Scope::Read, Scope::Ingest]);
    becomes(401, || world.client.get(world.url("/read"))).await;
    assert_eq!(session(&world, "").await, json!({"auth": "key_needed", "scopes": []}));
    let cookie = sign_in(&world, &key).await;

    let world = world.restart().await;
    assert_eq!(session(&world, &cookie).await, json!({"auth": "signed_in", "scopes": ["read", "ingest"]}));
    let response = world.client.delete(world.url("/api/v1/session")).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(response.status(), 204);
    assert!(response.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn a_wrong_key_opens_no_session() {
    let world = World::start().await;
    let (id, _) = world.key(&[Scope::Read]);
    becomes(401, || world.client.get(world.url("/read"))).await;
    let body = json!({"key": format!("isk_{id}_guess")});
    let response = world.client.post(world.url("/api/v1/session")).json(&body).send().await.unwrap();
    assert!(!response.headers().contains_key("set-cookie"));
    problem(response, 401, "unauthorized").await;
    // What is kept of a key is no way in either.
    let kept: Value = serde_json::from_slice(&std::fs::read(world_keys_path(&world)).unwrap()).unwrap();
    let cookie = format!("imagesearch_session={id}.{}", kept["keys"][0]["session_sha256"].as_str().unwrap());
    let response = world.client.get(world.url("/read")).header("cookie", cookie).send().await.unwrap();
    problem(response, 401, "unauthorized").await;
}

fn world_keys_path(world: &World) -> &str {
    world.keys.path().as_str()
}

#[tokio::test]
async fn spans_of_a_page_are_taken_from_those_who_have_a_key() {
    let world = World::with(|config| config.auth.public_read = true).await;
    let (_, key) = world.key(&[Scope::Ingest]);
    let span = json!({
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "action": "upload", "started_ms": 1_700_000_000_000_u64, "duration_ms": 250, "status": 202,
    });
    let post = |spans: Value| world.client.post(world.url("/api/v1/session/spans")).json(&json!({ "spans": spans }));
    becomes(204, || post(json!([span])).bearer_auth(&key)).await;
    problem(post(json!([span])).send().await.unwrap(), 401, "unauthorized").await;
    let mut other = span.clone();
    other["traceparent"] = json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    for refused in [json!([other]), json!(vec![span; 65])] {
        problem(post(refused).bearer_auth(&key).send().await.unwrap(), 422, "unprocessable").await;
    }
}

#[tokio::test]
async fn public_reading_opens_reading_only() {
    let world = World::with(|config| config.auth.public_read = true).await;
    world.key(&[Scope::Admin]);
    becomes(401, || world.client.post(world.url("/write"))).await;
    assert_eq!(world.get("/read").await.status(), 200);
    assert_eq!(session(&world, "").await, json!({"auth": "public_read", "scopes": ["read"]}));
}

#[tokio::test]
async fn the_keys_file_holds_no_key_and_belongs_to_its_owner() {
    let world = World::start().await;
    let (_, key) = world.key(&[Scope::Read]);
    let path = world_keys_path(&world);
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!std::fs::read_to_string(path).unwrap().contains(key.rsplit('_').next().unwrap()));
    assert!(world.keys.create("nothing", [].into()).unwrap_err().to_string().contains("at least one scope"));
}

#[test]
fn keys_made_at_the_same_time_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = camino::Utf8PathBuf::from_path_buf(folder.path().join("keys.json")).unwrap();
    let keys = shared::http::KeyFile::at(path);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| keys.create("one of many", [Scope::Read].into()).unwrap());
        }
    });
    assert_eq!(keys.list().unwrap().len(), 8);
}

#[tokio::test]
async fn a_change_that_another_site_asks_for_is_refused() {
    let world = World::start().await;
    let write = || world.client.post(world.url("/write"));
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "http://localhost:5173"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        problem(write().header(name, value).send().await.unwrap(), 403, "forbidden").await;
    }
    for (name, value) in [("origin", format!("http://{}", world.address)), ("sec-fetch-site", "same-origin".into())] {
        assert_eq!(write().header(name, value).send().await.unwrap().status(), 200);
    }

    let (_, key) = world.key(&[Scope::Ingest]);
    becomes(401, write).await;
    let cookie = sign_in(&world, &key).await;
    let request = write().header("cookie", &cookie).header("origin", "http://evil.example");
    problem(request.send().await.unwrap(), 403, "forbidden").await;
    assert_eq!(write().header("cookie", &cookie).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_name_rebound_to_loopback_gets_nothing_from_an_open_server() {
    let world = World::start().await;
    let read = |host: &str| world.client.get(world.url("/read")).header("host", host);
    problem(read("evil.example:3000").send().await.unwrap(), 403, "forbidden").await;
    assert_eq!(read("localhost:3000").send().await.unwrap().status(), 200);
    // With a key there is nothing to rebind for, and a proxy may send its own name.
    let (_, key) = world.key(&[Scope::Read]);
    becomes(401, || read("evil.example")).await;
    assert_eq!(read("photos.example").bearer_auth(key).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn beyond_loopback_a_key_is_needed_to_start() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = camino::Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
    let mut config = Config { data_dir, ..Config::default() };
    let start = async |config: &Config| {
        let kit = Kit::new(&config.http, Auth::open(config).unwrap(), &Metrics::new());
        let listener = bind("searchapi", "0.0.0.0:0".parse().unwrap()).await.unwrap();
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        serve("searchapi", listener, axum::Router::new(), &kit, shutdown).await
    };
    let refused = start(&config).await.unwrap_err();
    assert!(matches!(refused, ServeError::Open(_)), "{refused:?}");
    assert!(refused.to_string().contains("imagesearch keys create"), "{refused}");

    config.auth.mode = AuthMode::None;
    start(&config).await.unwrap();
    config.auth.mode = AuthMode::Keys;
    shared::http::KeyFile::at(config.keys_file()).create("first", [Scope::Read].into()).unwrap();
    start(&config).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_setting_that_moves_it() {
    let taken = bind("searchapi", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let refused = bind("searchapi", taken.local_addr().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("IMAGESEARCH_SEARCHAPI__LISTEN"), "{refused}");
}

#[tokio::test]
async fn a_keys_file_that_can_not_be_read_stops_the_start_but_not_a_running_server() {
    let world = World::start().await;
    let (_, key) = world.key(&[Scope::Read]);
    let read = |client: &Client| client.get(world.url("/read"));
    becomes(401, || read(&world.client)).await;
    let path = world_keys_path(&world).to_owned();
    std::fs::write(&path, "{ not json").unwrap();
    for _ in 0..50 {
        assert_eq!(read(&world.client).bearer_auth(&key).send().await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut config = Config::default();
    config.auth.keys_file = Some(path.into());
    assert!(Auth::open(&config).unwrap_err().to_string().contains("keys.json"));
}

/// Puts a state of the keys file there as a mounted Secret has it: `keys.json` is a link into `..data`, a link to a folder
/// of that state, which is swapped in one step. The former folder goes afterwards.
fn mount(folder: &camino::Utf8Path, state: &str, keys: &[u8]) {
    let former = std::fs::read_link(folder.join("..data")).ok();
    std::fs::create_dir(folder.join(state)).unwrap();
    std::fs::write(folder.join(state).join("keys.json"), keys).unwrap();
    symlink(state, folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    match former {
        Some(former) => std::fs::remove_dir_all(folder.join(former.to_str().unwrap())).unwrap(),
        None => symlink("..data/keys.json", folder.join("keys.json")).unwrap(),
    }
}

#[tokio::test]
async fn keys_in_a_mounted_secret_are_read_again_when_it_is_swapped() {
    let (made, mounted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [made, mounted] = [&made, &mounted].map(|folder| camino::Utf8Path::from_path(folder.path()).unwrap());
    let keys = shared::http::KeyFile::at(made.join("keys.json"));
    let states: Vec<_> = ["first", "second"]
        .map(|name| {
            let created = keys.create(name, [Scope::Read].into()).unwrap();
            (created.record.id, created.key.reveal().to_owned(), std::fs::read(keys.path()).unwrap())
        })
        .into();
    mount(mounted, "..2026_01", &states[0].2);

    let world = World::with(|config| config.auth.keys_file = Some(mounted.join("keys.json"))).await;
    let read = |key: &str| world.client.get(world.url("/read")).bearer_auth(key);
    assert_eq!(read(&states[0].1).send().await.unwrap().status(), 200);
    assert_eq!(read(&states[1].1).send().await.unwrap().status(), 401);

    mount(mounted, "..2026_02", &states[1].2);
    becomes(200, || read(&states[1].1)).await;
    assert_eq!(read(&states[0].1).send().await.unwrap().status(), 200);

    keys.revoke(&states[0].0).unwrap();
    mount(mounted, "..2026_03", &std::fs::read(keys.path()).unwrap());
    becomes(401, || read(&states[0].1)).await;
    assert_eq!(read(&states[1].1).send().await.unwrap().status(), 200);
}
