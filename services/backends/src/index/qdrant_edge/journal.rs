//! Changes that the shard may not have flushed yet: one line each, durable before it is applied.
//!
//! A line is a checksum and a JSON document. Changes say what is, not what to add, so applying one again does no harm.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
};

use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{ImageDocument, ImageId};

/// Hexadecimal digits of the SHA-256 that a line begins with.
const CHECKSUM_DIGITS: usize = 16;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    Upsert(Vec<(ImageDocument, Vec<f32>)>),
    SetDocument(Box<ImageDocument>),
    Delete(Vec<ImageId>),
}

#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    length: u64,
}

impl Journal {
    /// Opens the journal and hands every change in it to `apply`, oldest first. A last line that was cut off by a crash
    /// was never acknowledged; it is dropped.
    ///
    /// # Errors
    /// What `apply` says, or the fault of reading the file.
    pub(super) fn open<E: From<io::Error>>(
        path: &Utf8Path,
        mut apply: impl FnMut(Change) -> Result<(), E>,
    ) -> Result<Self, E> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        let mut length = 0;
        while reader.read_until(b'\n', &mut line)? > 0 {
            let Some(change) = parse(&line) else {
                tracing::warn!(%path, offset = length, "journal ends in a line that was not finished");
                break;
            };
            apply(change)?;
            length += line.len() as u64;
            line.clear();
        }
        let mut journal = Self { file, length };
        journal.cut(length)?;
        Ok(journal)
    }

    /// Adds a change; once this returns it survives a loss of power.
    pub(super) fn append(&mut self, change: &Change) -> io::Result<()> {
        let body = serde_json::to_string(change)?;
        let line = format!("{} {body}\n", checksum(body.as_bytes()));
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // A full disk leaves half a line; what is appended after it would be lost with it.
            self.cut(self.length)?;
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// Forgets all changes: they are in the shard, durably.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.cut(0)
    }

    /// Bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length))?;
        self.file.sync_data()?;
        self.length = length;
        Ok(())
    }
}

fn parse(line: &[u8]) -> Option<Change> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, body) = line.split_at_checked(CHECKSUM_DIGITS)?;
    let body = body.strip_prefix(b" ")?;
    (sum == checksum(body).as_bytes()).then(|| serde_json::from_slice(body).ok()).flatten()
}

fn checksum(body: &[u8]) -> String {
    hex::encode(&Sha256::digest(body)[..CHECKSUM_DIGITS / 2])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(path: &Utf8Path) -> Vec<Change> {
        let mut changes = Vec::new();
        Journal::open(path, |change| -> io::Result<()> {
            changes.push(change);
            Ok(())
        })
        .unwrap();
        changes
    }

    #[test]
    fn a_line_cut_off_by_a_crash_is_dropped_and_what_follows_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("journal");
        let [first, second, third] = ["a", "b", "c"].map(|name| Change::Delete(vec![ImageId::of(name.as_bytes())]));
        let mut journal = Journal::open(&path, |_| io::Result::Ok(())).unwrap();
        journal.append(&first).unwrap();
        journal.append(&second).unwrap();
        let whole = journal.length();
        drop(journal);
        File::options().write(true).open(&path).unwrap().set_len(whole - 3).unwrap();

        assert_eq!(read(&path), std::slice::from_ref(&first));
        Journal::open(&path, |_| io::Result::Ok(())).unwrap().append(&third).unwrap();
        assert_eq!(read(&path), [first, third]);
    }
}
