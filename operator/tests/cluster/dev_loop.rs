//! The loop of the Tiltfile, without Tilt: an edit is built, put into a pod that runs and started there, without another image or
//! another container. What is done in the pod is read from the Tiltfile.

use std::{
    env, fs,
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use serde_json::json;

use super::stack::{Stack, apply_stack, field, kubectl, spec, until, until_ready};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const TILTFILE: &str = include_str!("../../../Tiltfile");
/// Of a crate that only the program itself depends on.
const EDITED: &str = "services/searchapi/src/lib.rs";
const ROLE: &str = "searchapi";
/// Rounds: the second puts a program in the place of one that runs.
const EDITS: usize = 2;
const LONGEST: Duration = Duration::from_mins(2);

pub(crate) async fn an_edit_serves_from_the_pod_that_runs() {
    let Ok(image) = env::var("IMAGESEARCH_DEV_IMAGE") else {
        println!("not run: IMAGESEARCH_DEV_IMAGE names no image that the cluster has");
        return;
    };
    let stack = Stack::ready().await;
    let mut changed = spec();
    changed["image"] = json!(image);
    apply_stack(&changed);
    until_ready().await;
    let pod = until("there is one pod, with the image", async || {
        let pods = pods_of_role();
        (pods.len() == 1 && field(&pods[0], ".spec.containers[0].image") == image).then(|| pods[0].clone())
    })
    .await;

    for _ in 0..EDITS {
        let edited = Instant::now();
        fs::File::open(format!("{ROOT}/{EDITED}")).unwrap().set_modified(SystemTime::now()).unwrap();
        succeeds(Command::new("scripts/dev").arg("programs").current_dir(ROOT));
        let built = edited.elapsed();
        put_into(&pod);
        let put = edited.elapsed();
        in_pod(&pod, setting("RESTART"));
        until("the new program is ready", async || is_new_and_ready(&pod).then_some(())).await;
        assert!(stack.search("a castle").await.unwrap().status().is_success());
        let serving = edited.elapsed();
        println!(
            "edit to serving in {:.1} s: built after {:.1} s, in the pod after {:.1} s",
            serving.as_secs_f32(),
            built.as_secs_f32(),
            put.as_secs_f32()
        );
        assert!(serving < LONGEST, "{serving:?}");
    }

    assert_eq!(pods_of_role(), std::slice::from_ref(&pod), "it is the same pod");
    assert_eq!(field(&pod, ".status.containerStatuses[0].restartCount"), "0", "and the same container");
    apply_stack(&spec());
    until_ready().await;
}

/// What the Tiltfile says of a constant.
fn setting(name: &str) -> &'static str {
    let value = TILTFILE.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = '")?.strip_suffix('\''));
    value.unwrap_or_else(|| panic!("the Tiltfile has no {name}"))
}

fn pods_of_role() -> Vec<String> {
    let selector = format!("app.kubernetes.io/component={ROLE}");
    kubectl(&["get", "pods", "--selector", &selector, "--output", "name"]).lines().map(str::to_owned).collect()
}

/// As Tilt does: an archive of paths from the root, unpacked by the pod's tar.
fn put_into(pod: &str) {
    let cache = env::var("IMAGESEARCH_CACHE").unwrap();
    let path = setting("PROGRAM_IN_POD").trim_start_matches('/');
    let mut archive = Command::new("tar")
        .args(["--create", "--file", "-", "--owner", "0", "--group", "0", "--directory"])
        .arg(format!("{cache}/dev/imagesearch"))
        .arg(format!("--transform=s,^imagesearch$,{path},"))
        .arg("imagesearch")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let unpack = ["exec", "--stdin", pod, "--container", ROLE, "--", "tar", "-C", "/", "-x", "-f", "-"];
    succeeds(in_namespace(&unpack).stdin(archive.stdout.take().unwrap()));
    assert!(archive.wait().unwrap().success());
}

fn in_pod(pod: &str, command: &str) {
    succeeds(&mut in_namespace(&["exec", pod, "--container", ROLE, "--", "sh", "-c", command]));
}

/// Whether what runs is the very file that was put there, and says that it is ready.
fn is_new_and_ready(pod: &str) -> bool {
    let program = setting("PROGRAM_IN_POD");
    let script = format!(
        "stat -L -c %i /proc/[0-9]*/exe 2>/dev/null | grep -qx \"$(stat -c %i {program})\" && \
         wget -q -O /dev/null http://127.0.0.1:9090/readyz"
    );
    let asked = in_namespace(&["exec", pod, "--container", ROLE, "--", "sh", "-c", &script]).output().unwrap();
    asked.status.success()
}

fn in_namespace(arguments: &[&str]) -> Command {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["--namespace", super::stack::NAMESPACE]).args(arguments);
    kubectl
}

fn succeeds(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
