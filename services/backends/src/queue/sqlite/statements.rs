//! Every statement that runs while the queue serves, in one place: the test below shows that each finds its rows by the
//! index made for it, however many tasks are kept.

/// What `tasks::from_row` reads.
macro_rules! task_columns {
    () => {
        "job, status, image_id, attempts, result, error, updated_us"
    };
}

/// A statement that gives tasks back.
macro_rules! tasks {
    ($before:literal) => {
        concat!($before, " ", task_columns!())
    };
    ($before:literal, $after:literal) => {
        concat!($before, " ", task_columns!(), " ", $after)
    };
}

pub(super) const ACCEPTED: &str = "SELECT 1 FROM tasks WHERE task_id = ?1";
pub(super) const INSERT: &str = tasks!(
    "INSERT INTO tasks (task_id, model, status, job, image_id, updated_us)
     VALUES (?1, ?2, 'queued', ?3, ?4, ?5) RETURNING"
);

/// Leases that ran out. The index is named since the planner, which knows no numbers, would go by status.
pub(super) const EXPIRE: &str = tasks!(
    "UPDATE tasks INDEXED BY tasks_due SET status = 'queued', token = NULL, due_us = NULL, updated_us = ?1
     WHERE due_us <= ?1 AND status = 'processing' RETURNING"
);
/// Delayed jobs whose time has come. No change that a user would see.
pub(super) const PROMOTE: &str =
    "UPDATE tasks INDEXED BY tasks_due SET due_us = NULL WHERE due_us <= ?1 AND status = 'queued'";
pub(super) const LEASE: &str = tasks!(
    "UPDATE tasks SET status = 'processing', token = lower(hex(randomblob(16))), attempts = attempts + 1,
         due_us = ?1, updated_us = ?2
     WHERE seq IN (
         SELECT seq FROM tasks INDEXED BY tasks_ready
         WHERE model = ?3 AND status = 'queued' AND due_us IS NULL ORDER BY seq LIMIT ?4)
     RETURNING seq, token,"
);
pub(super) const NEXT_DUE: &str = "SELECT min(due_us) FROM tasks WHERE due_us IS NOT NULL";

pub(super) const EXTEND: &str = "UPDATE tasks SET due_us = ?3 WHERE task_id = ?1 AND token = ?2";
pub(super) const SET_IMAGE: &str =
    tasks!("UPDATE tasks SET image_id = ?3, updated_us = ?4 WHERE task_id = ?1 AND token = ?2 RETURNING");
pub(super) const RETRY: &str = tasks!(
    "UPDATE tasks SET status = 'queued', token = NULL, due_us = ?3, error = ?4, updated_us = ?5
     WHERE task_id = ?1 AND token = ?2 RETURNING"
);
pub(super) const HAND_BACK: &str = tasks!(
    "UPDATE tasks SET status = 'queued', token = NULL, due_us = NULL, attempts = attempts - 1, updated_us = ?3
     WHERE task_id = ?1 AND token = ?2 RETURNING"
);
pub(super) const FINISH: &str = tasks!(
    "UPDATE tasks SET status = ?3, token = NULL, due_us = NULL, image_id = coalesce(?4, image_id),
         result = ?5, error = ?6, updated_us = ?7
     WHERE task_id = ?1 AND token = ?2 RETURNING"
);

pub(super) const TASK: &str = tasks!("SELECT", "FROM tasks WHERE task_id = ?1");
pub(super) const LIVE_TASK: &str = tasks!(
    "SELECT",
    "FROM tasks INDEXED BY tasks_alive_by_image
     WHERE image_id = ?1 AND model = ?2 AND status IN ('queued', 'processing') ORDER BY seq DESC LIMIT 1"
);
pub(super) const LIST: &str = tasks!("SELECT seq,", "FROM tasks WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
pub(super) const LIST_BY_STATUS: &str =
    tasks!("SELECT seq,", "FROM tasks WHERE seq < ?1 AND status = ?3 ORDER BY seq DESC LIMIT ?2");
pub(super) const OLDEST_QUEUED: &str = tasks!("SELECT", "FROM tasks WHERE status = 'queued' ORDER BY seq LIMIT 1");

pub(super) const COUNTS: &str = "SELECT status, tasks FROM task_counts";
/// Alive, over, and failed.
pub(super) const TOTALS: &str = "
    SELECT sum(tasks) FILTER (WHERE status IN ('queued', 'processing')),
           sum(tasks) FILTER (WHERE status IN ('indexed', 'duplicate', 'superseded')),
           sum(tasks) FILTER (WHERE status = 'failed')
    FROM task_counts";
pub(super) const PRUNE_DONE: &str = "DELETE FROM tasks WHERE seq IN (
    SELECT seq FROM tasks INDEXED BY tasks_done
    WHERE status IN ('indexed', 'duplicate', 'superseded') ORDER BY updated_us, seq LIMIT ?1)";
pub(super) const PRUNE_FAILED: &str = "DELETE FROM tasks WHERE seq IN (
    SELECT seq FROM tasks INDEXED BY tasks_failed WHERE status = 'failed' ORDER BY updated_us, seq LIMIT ?1)";
/// Forgets all but the URLs that are not fetched yet; the one statement that is meant to visit all rows.
pub(super) const CLEAR: &str = "DELETE FROM tasks WHERE NOT (image_id IS NULL AND status IN ('queued', 'processing'))";
pub(super) const ADOPT: &str = "UPDATE tasks SET model = ?1, job = json_set(job, '$.model', ?1)
    WHERE status IN ('queued', 'processing') AND model <> ?1";
/// A real change, since SQLite leaves out the write of a value that is there already.
pub(super) const PROBE: &str = "UPDATE probe SET probed_us = ?1";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::schema::open_writer;
    use super::*;

    #[test]
    fn every_statement_finds_its_rows_by_the_index_made_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(folder.path()).unwrap().join("queue.sqlite");
        let connection = open_writer(&path).unwrap();
        let by_id = "INDEX sqlite_autoindex_tasks_1 (task_id=?)";
        let statements = [
            (ACCEPTED, by_id),
            (EXPIRE, "INDEX tasks_due (due_us<?)"),
            (PROMOTE, "INDEX tasks_due (due_us<?)"),
            (LEASE, "INDEX tasks_ready (model=?)"),
            (NEXT_DUE, "INDEX tasks_due"),
            (EXTEND, by_id),
            (SET_IMAGE, by_id),
            (RETRY, by_id),
            (HAND_BACK, by_id),
            (FINISH, by_id),
            (TASK, by_id),
            (LIVE_TASK, "INDEX tasks_alive_by_image (image_id=? AND model=?)"),
            (LIST, "INTEGER PRIMARY KEY (rowid<?)"),
            (LIST_BY_STATUS, "INDEX tasks_by_status (status=? AND rowid<?)"),
            (OLDEST_QUEUED, "INDEX tasks_by_status (status=?)"),
            (ADOPT, "INDEX tasks_by_status (status=?)"),
            (PRUNE_DONE, "INDEX tasks_done"),
            (PRUNE_FAILED, "INDEX tasks_failed"),
        ];
        for (statement, index) in statements {
            let plan = plan(&connection, statement);
            assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}: {statement}");
            for step in &plan {
                // An index of its own, read in its order up to the limit, is no scan of the table.
                let visits_all = step.starts_with("SCAN tasks") && !step.contains("USING");
                assert!(!visits_all && !step.contains("TEMP B-TREE"), "{plan:?}: {statement}");
            }
        }
    }

    fn plan(connection: &rusqlite::Connection, statement: &str) -> Vec<String> {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        // What is not bound is NULL, which doesn't change the plan.
        let mut rows = explain.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get("detail").unwrap());
        }
        steps
    }
}
