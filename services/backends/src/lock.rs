//! Keeps a second process away from folders that one process must have for itself.

use std::{
    fs::{self, File, TryLockError},
    io,
};

use camino::{Utf8Path, Utf8PathBuf};

const LOCK_FILE: &str = ".imagesearch.lock";

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{folder} is in use by another imagesearch process; stop it first")]
    InUse { folder: Utf8PathBuf },
    #[error("folder {folder} can't be made or locked")]
    Io {
        folder: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The right to be the only process that uses some folders; it ends when dropped, or with the process however it dies.
#[derive(Debug)]
pub struct FolderLock {
    _files: Vec<File>,
}

impl FolderLock {
    /// Locks folders, made when absent. One below another needs no lock of its own.
    pub fn acquire(folders: &[Utf8PathBuf]) -> Result<Self, LockError> {
        let is_below_another =
            |folder: &Utf8PathBuf| folders.iter().any(|other| other != folder && folder.starts_with(other));
        let mut outermost: Vec<_> = folders.iter().filter(|folder| !is_below_another(folder)).collect();
        // Always in the same order, so that of two processes that start at once one gets everything.
        outermost.sort();
        outermost.dedup();
        Ok(Self { _files: outermost.into_iter().map(|folder| lock(folder)).collect::<Result<_, _>>()? })
    }
}

fn lock(folder: &Utf8Path) -> Result<File, LockError> {
    let fault = |source| LockError::Io { folder: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(fault)?;
    let file = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK_FILE)).map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LockError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(fault(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_until_it_is_let_go() {
        let temporary = tempfile::tempdir().expect("a folder");
        let data = Utf8PathBuf::from_path_buf(temporary.path().to_owned()).expect("utf-8");
        let folders = [data.clone(), data.join("objects"), data.join("objects")];
        let first = FolderLock::acquire(&folders).expect("free");
        assert!(!data.join("objects").exists(), "one lock is enough");

        let refused = FolderLock::acquire(&folders).expect_err("in use").to_string();
        assert_eq!(refused, format!("{data} is in use by another imagesearch process; stop it first"));
        drop(first);
        FolderLock::acquire(&folders).expect("free again");
    }
}
