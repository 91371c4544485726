//! Why pods don't come up, in the words that a person looks for: read from the pods themselves.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;

use super::names::COMPONENT_LABEL;

/// Which Job a pod belongs to.
const JOB_LABEL: &str = "batch.kubernetes.io/job-name";
/// What an error says is told as far as this.
const LONGEST_WORDS: usize = 300;

/// The first pod of a component that can't work, with what keeps it: `pod photos-searchapi-…: the image … can't be had`.
pub(crate) fn failing_pod(pods: &[Pod], component: &str) -> Option<String> {
    failing(pods, COMPONENT_LABEL, component)
}

/// The same of one Job: its component may have others, which are over.
pub(crate) fn failing_pod_of_job(pods: &[Pod], job: &str) -> Option<String> {
    failing(pods, JOB_LABEL, job)
}

/// The same of the last pod alone, of a Job that makes another one after each that fails.
pub(crate) fn failing_last_pod_of_job(pods: &[Pod], job: &str) -> Option<String> {
    newest_first(pods, JOB_LABEL, job).first().and_then(|pod| told(pod))
}

fn failing(pods: &[Pod], label: &str, value: &str) -> Option<String> {
    newest_first(pods, label, value).into_iter().find_map(told)
}

/// The newest says most about what was changed last.
fn newest_first<'a>(pods: &'a [Pod], label: &str, value: &str) -> Vec<&'a Pod> {
    let mut pods: Vec<&Pod> =
        pods.iter().filter(|pod| pod.labels().get(label).is_some_and(|found| found == value)).collect();
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp.as_ref().map(|time| time.0)));
    pods
}

fn told(pod: &Pod) -> Option<String> {
    Some(format!("pod {}: {}", pod.name_any(), reason(pod)?))
}

fn reason(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.as_ref()?;
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    let runs_to_an_end = matches!(policy, Some("Never" | "OnFailure"));
    let mut containers =
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let reason = |container: &ContainerStatus| {
        // In the same words while it waits, while it is tried again and when that is over.
        let ended = runs_to_an_end.then(|| ended(container)).flatten().filter(|ended| ended.exit_code != 0);
        ended.map(how_it_ended).or_else(|| if container.ready { None } else { waiting(container) })
    };
    if let Some(reason) = containers.find_map(reason) {
        return Some(reason);
    }
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let message = unscheduled.message.as_deref().unwrap_or("no node takes it");
    Some(format!("{}: {message}", unscheduled.reason.as_deref().unwrap_or("Unschedulable")))
}

/// What a container waits for that won't come by itself.
fn waiting(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?.waiting.as_ref()?;
    let reason = state.reason.as_deref()?;
    if matches!(reason, "ContainerCreating" | "PodInitializing") {
        return None;
    }
    // What the registry said differs from try to try; the status would be written with each.
    if matches!(reason, "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName") {
        return Some(format!("the image {} can't be had; `kubectl describe pod` tells why", container.image));
    }
    let message = match (&state.message, ended(container)) {
        (_, Some(ended)) if reason == "CrashLoopBackOff" => how_it_ended(ended),
        (Some(message), _) => message.clone(),
        (None, _) => return Some(reason.to_owned()),
    };
    Some(format!("{reason}: {message}"))
}

/// The end of a container's last run.
fn ended(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let states = [&container.state, &container.last_state];
    states.into_iter().find_map(|state| state.as_ref()?.terminated.as_ref())
}

fn how_it_ended(ended: &ContainerStateTerminated) -> String {
    let how = format!("it ended with {} ({})", ended.exit_code, ended.reason.as_deref().unwrap_or("Error"));
    match ended.message.as_deref().and_then(last_words) {
        Some(words) => format!("{how}: {words}"),
        None => how,
    }
}

/// The error that a program ends with. Lines of its log say when they were written, and the status would be written with each.
fn last_words(output: &str) -> Option<String> {
    let line = output.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let words = line.strip_prefix("error: ").unwrap_or(line);
    (!words.starts_with('{')).then(|| words.chars().take(LONGEST_WORDS).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::needless_pass_by_value)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, component: &str, status: serde_json::Value) -> Pod {
        let labels = json!({ COMPONENT_LABEL: component });
        serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels }, "status": status })).unwrap()
    }

    #[test]
    fn an_image_that_is_not_there_is_named() {
        let status = json!({ "containerStatuses": [{
            "name": "searchapi", "ready": false, "image": "imagesearch:nope", "imageID": "", "restartCount": 0,
            "state": { "waiting": { "reason": "ErrImagePull", "message": "no such image: imagesearch:nope" } },
        }]});
        let pods = [pod("photos-searchapi-1", "searchapi", status), pod("photos-cdnapi-1", "cdnapi", json!({}))];
        let reason = failing_pod(&pods, "searchapi").unwrap();
        assert_eq!(
            reason,
            "pod photos-searchapi-1: the image imagesearch:nope can't be had; `kubectl describe pod` tells why"
        );
        assert_eq!(failing_pod(&pods, "cdnapi"), None);
    }

    #[test]
    fn a_pod_that_is_only_starting_fails_nothing() {
        let status = json!({ "containerStatuses": [{
            "name": "c", "ready": false, "image": "", "imageID": "", "restartCount": 0,
            "state": { "waiting": { "reason": "ContainerCreating" } },
        }]});
        assert_eq!(failing_pod(&[pod("a", "cdnapi", status)], "cdnapi"), None);
    }

    /// A pod of the Job that fetches a model, with its container in this state after that one.
    fn fetching(policy: &str, state: serde_json::Value, last: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "fetch", "labels": { JOB_LABEL: "photos-model-1", COMPONENT_LABEL: "model" } },
            "spec": { "containers": [], "restartPolicy": policy },
            "status": { "containerStatuses": [{
                // Without a probe, whatever runs is ready.
                "name": "model", "ready": state.get("running").is_some(), "image": "i", "imageID": "", "restartCount": 1,
                "state": state, "lastState": last,
            }] },
        }))
        .unwrap()
    }

    fn ended_with(code: i32, message: &str) -> serde_json::Value {
        json!({ "terminated": { "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }, "message": message } })
    }

    #[test]
    fn a_job_that_fails_says_the_same_while_it_waits_and_while_it_is_tried_again() {
        let output = "{\"timestamp\":\"2026-01-01T00:00:00Z\"}\nerror: cannot fetch the model: 404\n\n";
        let ended = ended_with(1, output);
        let back_off = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 40s" } });
        let pods = [
            fetching("Never", ended.clone(), json!({})),
            fetching("OnFailure", back_off, ended.clone()),
            fetching("OnFailure", json!({ "running": {} }), ended),
        ];
        for pod in pods {
            let reason = failing_pod_of_job(std::slice::from_ref(&pod), "photos-model-1").unwrap();
            assert_eq!(reason, "pod fetch: it ended with 1 (Error): cannot fetch the model: 404");
            assert_eq!(failing_pod_of_job(&[pod], "photos-model-2"), None, "a Job of another model");
        }
    }

    #[test]
    fn a_job_that_is_done_fails_nothing() {
        let done = fetching("OnFailure", ended_with(0, ""), ended_with(1, "error: no"));
        assert_eq!(failing_pod(&[done], "model"), None);
    }

    /// It is started again at once: only one that ends again and again is a fault.
    #[test]
    fn a_server_that_has_ended_once_fails_nothing() {
        let again = fetching("Always", json!({ "running": {} }), ended_with(137, ""));
        assert_eq!(failing_pod(&[again], "model"), None);
    }

    #[test]
    fn a_server_that_ends_again_and_again_is_told_with_its_last_words() {
        let back_off = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 40s" } });
        let pod = fetching("Always", back_off.clone(), ended_with(1, "error: no key file"));
        assert_eq!(
            failing_pod(&[pod], "model").unwrap(),
            "pod fetch: CrashLoopBackOff: it ended with 1 (Error): no key file"
        );
        // A line of the log is another one each time.
        let pod = fetching("Always", back_off, ended_with(101, "{\"timestamp\":\"2026-01-01T00:00:00Z\"}"));
        assert_eq!(failing_pod(&[pod], "model").unwrap(), "pod fetch: CrashLoopBackOff: it ended with 101 (Error)");
    }

    #[test]
    fn a_pod_that_no_node_takes_says_why() {
        let status = json!({ "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu",
        }]});
        let reason = failing_pod(&[pod("a", "cdnapi", status)], "cdnapi").unwrap();
        assert_eq!(reason, "pod a: Unschedulable: 0/1 nodes: Insufficient cpu");
    }
}
