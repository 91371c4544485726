//! Everything that changes the folder. A file is whole and synced before it gets its name, and its name is synced before
//! anybody is told, so a loss of power leaves either the old object or the new one.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::NamedTempFile;

use super::{fault, reading::etag_of};
use crate::objects::{ETag, ObjectError, ObjectKey, PutCondition};

/// Where objects are written before they have a name. No key begins with a dot, so it can't be one.
const STAGING: &str = ".staging";
/// Enough that two writers seldom wait for each other.
const LOCKS: usize = 64;

pub(super) struct Folder {
    pub(super) root: Utf8PathBuf,
    staging: Utf8PathBuf,
    locks: [Mutex<()>; LOCKS],
    /// Held for writing while emptied folders are removed, and for reading while a file moves into one.
    folders: RwLock<()>,
    hasher: RandomState,
    /// Time of the last write, in microseconds since 1970.
    last_write_us: AtomicU64,
}

impl Folder {
    pub(super) fn open(root: &Utf8Path) -> Result<Self, ObjectError> {
        let folder = Self::at(root);
        let staging = &folder.staging;
        let opened = make_folder(root).and_then(|()| remove_folder(staging)).and_then(|()| make_folder(staging));
        opened.map_err(|error| fault(&format!("folder {root}"), error))?;
        Ok(folder)
    }

    /// As it is found.
    pub(super) fn at(root: &Utf8Path) -> Self {
        Self {
            root: root.to_owned(),
            staging: root.join(STAGING),
            locks: [const { Mutex::new(()) }; LOCKS],
            folders: RwLock::new(()),
            hasher: RandomState::new(),
            last_write_us: AtomicU64::new(0),
        }
    }

    pub(super) fn path(&self, key: &ObjectKey) -> Utf8PathBuf {
        self.root.join(key.as_str())
    }

    /// A new file without a name that anybody sees; removed when dropped.
    pub(super) fn stage(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix("").rand_bytes(16).tempfile_in(&self.staging)
    }

    pub(super) fn write_aside(&self, bytes: &[u8], what: &str) -> Result<NamedTempFile, ObjectError> {
        let written = self.stage().and_then(|mut file| file.write_all(bytes).map(|()| file));
        written.map_err(|error| fault(what, error))
    }

    /// Gives a written file its key, durably, if the condition holds.
    pub(super) fn publish(
        &self,
        file: NamedTempFile,
        key: &ObjectKey,
        condition: &PutCondition,
    ) -> Result<ETag, ObjectError> {
        let path = self.path(key);
        let etag = self.seal(file.as_file()).map_err(|error| fault(key.as_str(), error))?;
        {
            let _guard = self.lock(key);
            if !self.holds(key, condition)? {
                return Err(ObjectError::Precondition(key.clone()));
            }
            self.move_to(file, &path).map_err(|error| fault(key.as_str(), error))?;
        }
        sync_parent(&path).map_err(|error| fault(key.as_str(), error))?;
        Ok(etag)
    }

    pub(super) fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        let path = self.path(key);
        let removed = {
            let _guard = self.lock(key);
            fs::remove_file(&path)
        };
        match removed {
            Ok(()) => {
                sync_parent(&path).map_err(|error| fault(key.as_str(), error))?;
                self.remove_empty_folders(&path);
                Ok(true)
            }
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(fault(key.as_str(), error)),
        }
    }

    /// Makes the file durable and gives it a time of its own, from which its tag is made: sizes repeat, inodes are used
    /// again, and the clock of many file systems stands still for milliseconds.
    fn seal(&self, file: &File) -> io::Result<ETag> {
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        let next_us = |last_us: u64| now_us.max(last_us + 1);
        let last_us = self.last_write_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next_us(last)));
        file.set_modified(UNIX_EPOCH + Duration::from_micros(next_us(last_us.unwrap_or_default())))?;
        file.sync_all()?;
        Ok(etag_of(&file.metadata()?))
    }

    fn holds(&self, key: &ObjectKey, condition: &PutCondition) -> Result<bool, ObjectError> {
        Ok(match condition {
            PutCondition::None => true,
            PutCondition::Absent => self.head(key)?.is_none(),
            PutCondition::Matches(etag) => self.head(key)?.is_some_and(|info| info.etag == *etag),
        })
    }

    fn move_to(&self, file: NamedTempFile, path: &Utf8Path) -> io::Result<()> {
        let moved = {
            let _guard = self.folders.read().unwrap_or_else(PoisonError::into_inner);
            file.persist(path).or_else(|refused| match refused.error.kind() {
                io::ErrorKind::NotFound => {
                    path.parent().map_or(Ok(()), make_folder)?;
                    Ok(refused.file.persist(path)?)
                }
                _ => Err(refused.error),
            })
        };
        moved.map(drop).inspect_err(|_| self.remove_empty_folders(path))
    }

    /// Best effort: a folder that stays costs nothing but its entry, and one that is in use again refuses.
    fn remove_empty_folders(&self, path: &Utf8Path) {
        let _guard = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        let below_root = path.ancestors().skip(1).take_while(|folder| *folder != self.root);
        for folder in below_root {
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }

    fn lock(&self, key: &ObjectKey) -> MutexGuard<'_, ()> {
        let slot = self.hasher.hash_one(key) as usize % LOCKS;
        // It guards no data, so a panic under it leaves nothing half done.
        self.locks[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a key names when there is no such file: nothing, or a folder on the way is a file, or the key is a folder.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)
}

/// Makes a folder and those above it, each durable in the one above.
fn make_folder(folder: &Utf8Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_str().is_empty()) {
        make_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_parent(folder),
    }
}

fn remove_folder(folder: &Utf8Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a new name, or the loss of one, durable. A folder that a delete has removed meanwhile needs no syncing.
fn sync_parent(path: &Utf8Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    match File::open(parent) {
        Ok(folder) => folder.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
