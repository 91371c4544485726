//! What somebody would want to know of, once.

use kube::runtime::events::{Event, EventType};

use crate::crd::{Condition, ConditionStatus, ImageSearchStackStatus, condition};

/// One for each condition that became another, by its status or its reason; none while a stack is first looked at, but for
/// what is wrong with it.
pub(super) fn between(before: &ImageSearchStackStatus, after: &ImageSearchStackStatus) -> Vec<Event> {
    let is_ready = after.conditions.iter().any(Condition::is_ready);
    let became = after.conditions.iter().map(|condition| {
        let found = before.conditions.iter().find(|found| found.r#type == condition.r#type);
        (condition, found)
    });
    let told = became.filter(|(condition, found)| !is_same(condition, *found) && is_told(condition, *found, is_ready));
    told.map(|(condition, _)| event(condition)).collect()
}

fn is_same(condition: &Condition, found: Option<&Condition>) -> bool {
    found.is_some_and(|found| (found.status, &found.reason) == (condition.status, &condition.reason))
}

fn is_told(condition: &Condition, found: Option<&Condition>, is_ready: bool) -> bool {
    let good = condition.status == ConditionStatus::True;
    match condition.r#type.as_str() {
        // The others say it in more detail.
        condition::PROGRESSING => false,
        // Otherwise `Ready` says it.
        condition::DEGRADED => good && is_ready,
        // A queue that has not been read yet is one that is being started.
        condition::SCALING_ACTIVE => {
            found.is_some_and(|found| found.status != ConditionStatus::Unknown) || won_t_mend(&condition.reason)
        }
        _ => good || found.is_some() || is_fault(condition),
    }
}

fn event(condition: &Condition) -> Event {
    let bad = condition.r#type == condition::DEGRADED || is_fault(condition);
    Event {
        type_: if bad { EventType::Warning } else { EventType::Normal },
        reason: format!("{}{}", condition.r#type.trim_end_matches("Ready"), condition.reason),
        note: Some(condition.message.chars().take(1000).collect()),
        action: "Reconcile".into(),
        secondary: None,
    }
}

fn is_fault(condition: &Condition) -> bool {
    if condition.r#type == condition::SCALING_ACTIVE {
        // Whoever wished that the number of workers stays isn't warned of it.
        let wished = matches!(condition.reason.as_str(), "External" | "Fixed" | "Paused");
        return condition.status == ConditionStatus::False && !wished;
    }
    matches!(
        condition.reason.as_str(),
        "Failing"
            | "Repairing"
            | "RepairFailing"
            | "PodsFailing"
            | "FetchFailing"
            | "Refused"
            | "InvalidSpec"
            | "Waiting"
    )
}

/// What keeps a queue from being read although it is there.
fn won_t_mend(reason: &str) -> bool {
    matches!(reason, "QueueRefused" | "QueueSettingsInvalid")
}
