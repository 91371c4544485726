//! The files of a folder in the order of their keys, one folder on the way held at a time.

use std::{collections::VecDeque, fs, io};

use camino::{Utf8Path, Utf8PathBuf};

use super::{fault, reading::info_of, writing::is_absent};
use crate::objects::{ObjectError, ObjectInfo, ObjectKey};

pub(super) struct Walk {
    root: Utf8PathBuf,
    /// What is left to visit in each folder on the way: keys of files, and folders with a closing `/`.
    levels: Vec<VecDeque<String>>,
    start_after: Option<String>,
}

impl Walk {
    pub(super) fn new(root: &Utf8Path, prefix: &str, start_after: Option<&ObjectKey>) -> Result<Self, ObjectError> {
        let folder = if prefix.is_empty() { String::new() } else { format!("{}/", ObjectKey::new(prefix)?) };
        let start_after = start_after.map(ToString::to_string);
        Ok(Self { root: root.to_owned(), levels: vec![VecDeque::from([folder])], start_after })
    }

    /// The next objects, at most `max`; none at the end.
    pub(super) fn next_batch(&mut self, max: usize) -> Result<Vec<ObjectInfo>, ObjectError> {
        let mut batch = Vec::with_capacity(max);
        while batch.len() < max
            && let Some(level) = self.levels.last_mut()
        {
            match level.pop_front() {
                None => drop(self.levels.pop()),
                Some(folder) if folder.is_empty() || folder.ends_with('/') => {
                    let entries = self.entries(&folder).map_err(|error| fault(&format!("folder {folder:?}"), error))?;
                    self.levels.push(entries);
                }
                Some(key) => batch.extend(self.look_up(key)?),
            }
        }
        Ok(batch)
    }

    /// The entries of a folder in the order of the keys below them: `a-b`, `a.b`, `a/b`, as `/` sorts after both.
    fn entries(&self, folder: &str) -> io::Result<VecDeque<String>> {
        let listing = match fs::read_dir(self.root.join(folder)) {
            Ok(listing) => listing,
            Err(error) if is_absent(&error) => return Ok(VecDeque::new()),
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for entry in listing {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name();
            // What other programs leave here, and the staging folder, are no objects.
            let Some(key) = name.to_str().map(|name| format!("{folder}{name}")) else { continue };
            if ObjectKey::new(key.as_str()).is_err() {
                continue;
            }
            let entry = if kind.is_dir() { key + "/" } else { key };
            if self.is_ahead(&entry) {
                entries.push(entry);
            }
        }
        entries.sort_unstable();
        Ok(entries.into())
    }

    fn is_ahead(&self, entry: &str) -> bool {
        self.start_after
            .as_deref()
            .is_none_or(|start| entry > start || (entry.ends_with('/') && start.starts_with(entry)))
    }

    fn look_up(&self, key: String) -> Result<Option<ObjectInfo>, ObjectError> {
        match self.root.join(&key).metadata() {
            Ok(metadata) if metadata.is_file() => Ok(Some(info_of(ObjectKey::known(key), &metadata))),
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(fault(&key, error)),
        }
    }
}
