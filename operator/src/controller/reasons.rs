//! Why pods don't come up, in the words that a person looks for: read from the pods themselves.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

use super::names::COMPONENT_LABEL;

/// The first pod of a component that can't work, with what keeps it: `pod photos-searchapi-…: the image … can't be had`.
pub(crate) fn failing_pod(pods: &[Pod], component: &str) -> Option<String> {
    let mut pods: Vec<&Pod> =
        pods.iter().filter(|pod| pod.labels().get(COMPONENT_LABEL).is_some_and(|label| label == component)).collect();
    // The newest says most about what was changed last.
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp.as_ref().map(|time| time.0)));
    pods.into_iter().find_map(|pod| Some(format!("pod {}: {}", pod.name_any(), reason(pod)?)))
}

fn reason(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    if let Some(reason) = containers.filter(|container| !container.ready).find_map(waiting) {
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
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let message = match (&state.message, ended) {
        (_, Some(ended)) if reason == "CrashLoopBackOff" => {
            format!("it ended with {} ({})", ended.exit_code, ended.reason.as_deref().unwrap_or("Error"))
        }
        (Some(message), _) => message.clone(),
        (None, _) => return Some(reason.to_owned()),
    };
    Some(format!("{reason}: {message}"))
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

    #[test]
    fn a_pod_that_no_node_takes_says_why() {
        let status = json!({ "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu",
        }]});
        let reason = failing_pod(&[pod("a", "cdnapi", status)], "cdnapi").unwrap();
        assert_eq!(reason, "pod a: Unschedulable: 0/1 nodes: Insufficient cpu");
    }
}
