//! API keys: made, listed and revoked in one file that holds only their hashes, and re-read when it changes.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use rand::{TryRngCore, rngs::OsRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::scope::Scopes;
use crate::config::Secret;

/// A revoked key is refused, and a new one taken, at most this much later.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot read the keys file {path}; check that it exists and that this user may read it")]
    Read {
        path: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot understand the keys file {path}; restore it, or move it away and make new keys")]
    Parse {
        path: Utf8PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("cannot write the keys file {path}; check its folder's permissions and free space")]
    Write {
        path: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot get randomness from the operating system")]
    Random(#[source] rand::rand_core::OsError),
    #[error("no key {id:?} in {path}; `imagesearch keys list` shows them")]
    Unknown { path: Utf8PathBuf, id: String },
    #[error("a key needs at least one scope: read, ingest, delete or admin")]
    NoScope,
}

/// What is known of a key, and may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The middle part of the key: names it in lists and logs.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    pub scopes: Scopes,
    pub created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

/// What is kept of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredKey {
    #[serde(flatten)]
    record: KeyRecord,
    /// SHA-256 of the whole key. A key is 256 random bits, so nothing slower is needed to keep it from being guessed.
    #[serde(with = "hex::serde")]
    sha256: [u8; 32],
    /// SHA-256 of the session token that the key can be traded for.
    #[serde(with = "hex::serde")]
    session_sha256: [u8; 32],
}

/// A key in clear, seen once.
#[derive(Debug)]
pub struct CreatedKey {
    /// `isk_<id>_<secret>`
    pub key: Secret,
    pub record: KeyRecord,
}

impl CreatedKey {
    /// A new key.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(name: &str, scopes: Scopes) -> Result<Self, KeyError> {
        let id = hex::encode(random::<6>()?);
        let key = format!("isk_{id}_{}", hex::encode(random::<32>()?));
        let record = KeyRecord { id, name: name.to_owned(), scopes, created: Timestamp::now(), revoked: None };
        Ok(Self { key: Secret::new(key), record })
    }

    /// A key that was made before, from its text; `None` when that is none.
    pub fn known(key: &str, name: &str, scopes: Scopes, created: Timestamp) -> Option<Self> {
        let record = KeyRecord { id: id_of(key)?.to_owned(), name: name.to_owned(), scopes, created, revoked: None };
        Some(Self { key: Secret::new(key.to_owned()), record })
    }

    fn stored(&self) -> StoredKey {
        let key = self.key.reveal();
        StoredKey { record: self.record.clone(), sha256: sha256(key), session_sha256: sha256(&session_token(key)) }
    }
}

/// The file of keys: what `imagesearch keys` works on.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: Utf8PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    keys: Vec<StoredKey>,
}

impl KeyFile {
    pub fn at(path: impl Into<Utf8PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Every key, revoked ones too, oldest first.
    pub fn list(&self) -> Result<Vec<KeyRecord>, KeyError> {
        Ok(self.read()?.keys.into_iter().map(|stored| stored.record).collect())
    }

    /// Makes a key. It is shown now and never again.
    pub fn create(&self, name: &str, scopes: Scopes) -> Result<CreatedKey, KeyError> {
        if scopes.is_empty() {
            return Err(KeyError::NoScope);
        }
        let created = CreatedKey::generate(name, scopes)?;
        self.change(|contents| {
            contents.keys.push(created.stored());
            Ok(())
        })?;
        Ok(created)
    }

    /// What the file holds with these keys: for whoever keeps it elsewhere.
    ///
    /// # Errors
    /// None that is known of: a record can always be written as JSON.
    pub fn contents(keys: &[CreatedKey]) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(&Contents { keys: keys.iter().map(CreatedKey::stored).collect() })
    }

    /// Ends a key and its sessions: running servers refuse it within a second. Revoking twice changes nothing.
    pub fn revoke(&self, id: &str) -> Result<KeyRecord, KeyError> {
        self.change(|contents| {
            let unknown = || KeyError::Unknown { path: self.path.clone(), id: id.to_owned() };
            let stored = contents.keys.iter_mut().find(|stored| stored.record.id == id).ok_or_else(unknown)?;
            let record = &mut stored.record;
            record.revoked.get_or_insert_with(Timestamp::now);
            Ok(record.clone())
        })
    }

    /// Reads, changes and swaps the file under a lock, so that two commands at once don't lose a key.
    fn change<T>(&self, change: impl FnOnce(&mut Contents) -> Result<T, KeyError>) -> Result<T, KeyError> {
        let write = |source| KeyError::Write { path: self.path.clone(), source };
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(write)?;
        }
        let lock = private_file(&self.path.with_extension("lock")).map_err(write)?;
        lock.lock().map_err(write)?;
        let mut contents = self.read()?;
        let outcome = change(&mut contents)?;
        self.replace(&contents).map_err(write)?;
        Ok(outcome)
    }

    fn read(&self) -> Result<Contents, KeyError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Contents::default()),
            Err(source) => return Err(KeyError::Read { path: self.path.clone(), source }),
        };
        serde_json::from_slice(&bytes).map_err(|source| KeyError::Parse { path: self.path.clone(), source })
    }

    /// All or nothing, and readable by its owner only.
    fn replace(&self, contents: &Contents) -> io::Result<()> {
        let staged = self.path.with_extension("new");
        let mut file = private_file(&staged)?;
        file.set_len(0)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(&serde_json::to_vec_pretty(contents)?)?;
        file.sync_all()?;
        fs::rename(&staged, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        fs::File::open(folder)?.sync_all()
    }
}

fn private_file(path: &Utf8Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The keys as the file has them now, for servers.
#[derive(Debug)]
pub(crate) struct KeyStore {
    file: KeyFile,
    loaded: ArcSwap<KeySet>,
    started: Instant,
    /// Milliseconds after `started` from which on the file is looked at again.
    next_look_ms: AtomicU64,
}

/// The keys at one moment.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<StoredKey>,
    stamp: Option<Stamp>,
}

/// Changes whenever the file is replaced, also within one tick of the clock.
type Stamp = (i64, i64, u64, u64);

impl KeyStore {
    pub(crate) fn open(path: Utf8PathBuf) -> Result<Self, KeyError> {
        let file = KeyFile::at(path);
        let stamp = stamp(&file.path);
        let keys = file.read()?.keys;
        Ok(Self {
            file,
            loaded: ArcSwap::from_pointee(KeySet { keys, stamp }),
            started: Instant::now(),
            next_look_ms: AtomicU64::new(0),
        })
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.file.path
    }

    /// Looks whether the file changed, at most every [`LOOK_AGAIN`]. A file that can't be read leaves the keys as they were.
    pub(crate) fn current(&self) -> Arc<KeySet> {
        let now_ms = self.started.elapsed().as_millis() as u64;
        let due_ms = self.next_look_ms.load(Ordering::Relaxed);
        let next_ms = now_ms + LOOK_AGAIN.as_millis() as u64;
        let mine = || self.next_look_ms.compare_exchange(due_ms, next_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if now_ms >= due_ms && mine() {
            self.reload();
        }
        self.loaded.load_full()
    }

    fn reload(&self) {
        // Taken before the file is read: what is written in between is seen at the next look.
        let stamp = stamp(&self.file.path);
        if stamp == self.loaded.load().stamp {
            return;
        }
        match self.file.read() {
            Ok(contents) => {
                tracing::info!(path = %self.file.path, keys = contents.keys.len(), "keys file changed");
                self.loaded.store(Arc::new(KeySet { keys: contents.keys, stamp }));
            }
            Err(fault) => {
                tracing::error!(error = %fault, "the keys file changed, but it can't be used; the keys stay as they were");
            }
        }
    }
}

fn stamp(path: &Utf8Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
}

impl KeySet {
    /// Whether there has never been a key. A revoked one counts.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The record of a key that is valid now.
    pub(crate) fn find(&self, key: &str) -> Option<&KeyRecord> {
        self.find_hash(id_of(key)?, &sha256(key), |stored| &stored.sha256)
    }

    /// The record of the key that a session belongs to, as long as the key is valid.
    pub(crate) fn find_session(&self, session: &str) -> Option<&KeyRecord> {
        let (id, token) = session.split_once('.')?;
        self.find_hash(id, &sha256(token), |stored| &stored.session_sha256)
    }

    fn find_hash(&self, id: &str, hash: &[u8; 32], kept: fn(&StoredKey) -> &[u8; 32]) -> Option<&KeyRecord> {
        let stored = self.keys.iter().find(|stored| stored.record.id == id && stored.record.revoked.is_none())?;
        bool::from(kept(stored).ct_eq(hash)).then_some(&stored.record)
    }
}

/// What a key is traded for: `<id>.<token>`. The token follows from the key, but neither the key from the token nor the
/// token from what is kept, so a session survives a restart, works at every replica, dies with its key, and can't be
/// made by whoever reads the file.
pub(crate) fn session_of(record: &KeyRecord, key: &str) -> String {
    format!("{}.{}", record.id, session_token(key))
}

fn id_of(key: &str) -> Option<&str> {
    Some(key.strip_prefix("isk_")?.split_once('_')?.0)
}

fn session_token(key: &str) -> String {
    hex::encode(Sha256::new().chain_update("imagesearch session\0").chain_update(key).finalize())
}

fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(KeyError::Random)?;
    Ok(bytes)
}
