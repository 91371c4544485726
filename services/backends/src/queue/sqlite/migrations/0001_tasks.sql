-- A row is a job and the task that users see of it.
CREATE TABLE tasks (
    -- Order of acceptance: jobs are delivered by it, lists are sorted by it.
    seq        INTEGER PRIMARY KEY,
    task_id    BLOB    NOT NULL UNIQUE,
    model      TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    job        TEXT    NOT NULL,
    image_id   BLOB,
    attempts   INTEGER NOT NULL DEFAULT 0,
    -- Of the lease that holds the job; only while it is processing.
    token      TEXT,
    -- Microseconds since 1970. Processing: when the lease ends. Queued: not to be delivered before; NULL: at once.
    due_us     INTEGER,
    result     TEXT,
    error      TEXT,
    updated_us INTEGER NOT NULL
) STRICT;

-- Each ends in seq, so rows come out of it in the order of acceptance.
CREATE INDEX tasks_by_status ON tasks (status);
CREATE INDEX tasks_ready ON tasks (model) WHERE status = 'queued' AND due_us IS NULL;

CREATE INDEX tasks_due ON tasks (due_us) WHERE due_us IS NOT NULL;
CREATE INDEX tasks_alive_by_image ON tasks (image_id, model) WHERE status IN ('queued', 'processing');

-- What retention removes, oldest end first. Failed jobs are the dead letters and are counted on their own.
CREATE INDEX tasks_done ON tasks (updated_us) WHERE status IN ('indexed', 'duplicate', 'superseded');
CREATE INDEX tasks_failed ON tasks (updated_us) WHERE status = 'failed';

CREATE TABLE task_counts (
    status TEXT    PRIMARY KEY,
    tasks  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO task_counts (status, tasks)
VALUES ('queued', 0), ('processing', 0), ('indexed', 0), ('failed', 0), ('duplicate', 0), ('superseded', 0);

-- One row that is changed to see whether the disk takes writes.
CREATE TABLE probe (
    probed_us INTEGER NOT NULL
) STRICT;

INSERT INTO probe (probed_us) VALUES (0);

CREATE TRIGGER tasks_count_insert AFTER INSERT ON tasks BEGIN
    UPDATE task_counts SET tasks = tasks + 1 WHERE status = NEW.status;
END;

CREATE TRIGGER tasks_count_update AFTER UPDATE OF status ON tasks WHEN OLD.status <> NEW.status BEGIN
    UPDATE task_counts SET tasks = tasks - 1 WHERE status = OLD.status;
    UPDATE task_counts SET tasks = tasks + 1 WHERE status = NEW.status;
END;

CREATE TRIGGER tasks_count_delete AFTER DELETE ON tasks BEGIN
    UPDATE task_counts SET tasks = tasks - 1 WHERE status = OLD.status;
END;
