#![allow(clippy::unwrap_used)]

use super::*;
use crate::queue::conformance::{image, model, stored};

fn state(number: u64, status: TaskStatus) -> State {
    State { status, ..State::queued(stored(number)) }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn statuses(projection: &Projection) -> Vec<TaskStatus> {
    projection.list(None, None, 100).into_iter().map(|shown| shown.task.status).collect()
}

#[test]
fn what_ended_long_ago_is_forgotten_and_what_is_alive_never() {
    let projection = Projection::new(Retention { tasks: 10, age: Duration::from_mins(1) });
    projection.end_build();
    projection.see(&state(1, TaskStatus::Queued), 1, second(0));
    projection.see(&state(2, TaskStatus::Indexed), 2, second(0));
    let own = state(3, TaskStatus::Failed);
    projection.write(&own, 3);
    projection.see(&own, 3, second(39));
    projection.write(&state(4, TaskStatus::Indexed), 4);
    assert!(projection.take_forgotten().is_empty(), "at 39 s nothing is a minute old");
    projection.see(&state(5, TaskStatus::Queued), 5, second(100));
    let mut forgotten = projection.take_forgotten();
    forgotten.sort_unstable();
    assert_eq!(forgotten, [2, 3]);
    assert_eq!(statuses(&projection), [TaskStatus::Queued, TaskStatus::Indexed, TaskStatus::Queued]);
    assert!(projection.take_forgotten().is_empty());
}

#[test]
fn whoever_ended_a_task_removes_what_goes_for_it_whichever_news_is_first() {
    let projection = Projection::new(Retention { tasks: 1, age: Duration::MAX });
    projection.end_build();
    let states: Vec<State> = (0..3).map(|number| state(number, TaskStatus::Indexed)).collect();
    projection.write(&states[0], 1);
    projection.see(&states[0], 1, second(1));
    projection.see(&states[1], 2, second(2));
    assert!(projection.take_forgotten().is_empty(), "another process removes the first");
    projection.see(&states[2], 3, second(3));
    projection.write(&states[2], 3);
    assert_eq!(projection.take_forgotten(), [2]);
}

#[test]
fn an_older_revision_changes_nothing_and_is_not_announced() {
    let projection = Projection::new(Retention::default());
    projection.end_build();
    let old = state(1, TaskStatus::Queued);
    let mut new = old.clone();
    new.begin("token".into());
    projection.write(&new, 2);
    let mut changes = projection.changes();
    projection.see(&old, 1, second(1));
    projection.see(&new, 2, second(2));
    assert_eq!(statuses(&projection), [TaskStatus::Processing]);
    assert!(changes.try_recv().is_err());
}

#[test]
fn a_build_drops_what_is_gone_and_keeps_what_was_written_meanwhile() {
    let projection = Projection::new(Retention::default());
    let (gone, stays, new) = (stored(1), stored(2), stored(3));
    for (revision, job) in [(1, &gone), (2, &stays)] {
        projection.write(&State::queued(job.clone()), revision);
    }
    projection.begin_build();
    projection.write(&State::queued(new.clone()), 3);
    projection.see(&State::queued(stays.clone()), 2, second(2));
    projection.end_build();
    let known = [&gone, &stays, &new].map(|job| projection.knows(job.task_id));
    assert_eq!(known, [false, true, true]);
    assert!(projection.live(image(1), &model()).is_none());
    projection.clear(3);
    assert_eq!([&stays, &new].map(|job| projection.knows(job.task_id)), [false, true]);
}
