//! Passwords and keys that the operator makes: once, from the operating system's randomness, kept from then on, and made
//! anew when `rotateCredentials` changes. What was valid before stays valid beside the new one wherever a server takes two,
//! so that pods that have not rolled yet are not refused.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use rand::{TryRngCore, rngs::OsRng};
use shared::http::{CreatedKey, KeyError, Scopes};

/// Which `rotateCredentials` a Secret was made for.
pub(crate) const ROTATION_ANNOTATION: &str = "imagesearch.dev/rotation";
const PREVIOUS: &str = "previous-";

/// Randomness is not to be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot make credentials")]
pub(crate) struct NoRandomness(#[source] KeyError);

/// The entries of a generated Secret in clear.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Entries(pub BTreeMap<String, String>);

impl Entries {
    /// An entry that every generated Secret of this kind has.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// What the entry was before the last rotation.
    pub(crate) fn previous(&self, name: &str) -> Option<&str> {
        self.0.get(&format!("{PREVIOUS}{name}")).map(String::as_str)
    }
}

// Never shows what is in it.
impl std::fmt::Debug for Entries {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

type Make = fn() -> Result<String, NoRandomness>;

/// The name of an entry, and how it is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    name: &'static str,
    make: Make,
    rotates: bool,
}

impl Entry {
    /// Made anew by each rotation.
    pub(crate) const fn rotated(name: &'static str, make: Make) -> Self {
        Self { name, make, rotates: true }
    }

    /// Made once, for whoever couldn't take the new one and the old one for a while.
    pub(crate) const fn lasting(name: &'static str, make: Make) -> Self {
        Self { name, make, rotates: false }
    }
}

/// Keeps what is there for this rotation, or makes every entry anew that rotates. An entry that is missing, since it came with
/// a later version or was deleted by hand, is made alone.
pub(crate) fn keep_or_make(
    existing: Option<&Secret>,
    rotation: &str,
    entries: &[Entry],
) -> Result<Entries, NoRandomness> {
    let found = existing.map(clear).unwrap_or_default();
    let made_for = existing.and_then(|secret| secret.annotations().get(ROTATION_ANNOTATION)).map_or("", String::as_str);
    let rotated = existing.is_some() && made_for != rotation;
    let mut kept = BTreeMap::new();
    for Entry { name, make, rotates } in entries {
        let previous = format!("{PREVIOUS}{name}");
        match found.get(*name) {
            Some(value) if rotated && *rotates => {
                kept.insert(previous, value.clone());
                kept.insert((*name).to_owned(), make()?);
            }
            Some(value) => {
                kept.insert((*name).to_owned(), value.clone());
                kept.extend(found.get(&previous).map(|value| (previous.clone(), value.clone())));
            }
            None => {
                kept.insert((*name).to_owned(), make()?);
            }
        }
    }
    Ok(Entries(kept))
}

/// The entries of a Secret that are text.
pub(crate) fn clear(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.iter().flatten();
    data.filter_map(|(name, value)| Some((name.clone(), String::from_utf8(value.0.clone()).ok()?))).collect()
}

/// 160 random bits that are never read as a number.
pub(crate) fn identifier() -> Result<String, NoRandomness> {
    Ok(format!("k{}", hex::encode(random::<20>()?)))
}

/// 256 random bits that are never read as a number.
pub(crate) fn password() -> Result<String, NoRandomness> {
    Ok(format!("p{}", hex::encode(random::<32>()?)))
}

/// An API key.
pub(crate) fn api_key() -> Result<String, NoRandomness> {
    let key = CreatedKey::generate("", Scopes::new()).map_err(NoRandomness)?;
    Ok(key.key.reveal().to_owned())
}

/// When an API key was made.
#[expect(clippy::unnecessary_wraps, reason = "as every entry is made")]
pub(crate) fn now() -> Result<String, NoRandomness> {
    Ok(jiff::Timestamp::now().to_string())
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], NoRandomness> {
    let mut bytes = [0; BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(KeyError::Random).map_err(NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::needless_pass_by_value)]
mod tests {
    use super::*;
    use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::ObjectMeta};

    const KINDS: &[Entry] = &[Entry::rotated("user", identifier), Entry::rotated("password", password)];

    fn secret(entries: &Entries, rotation: &str) -> Secret {
        let data = entries.0.iter().map(|(name, value)| (name.clone(), ByteString(value.clone().into_bytes())));
        let annotations = [(ROTATION_ANNOTATION.to_owned(), rotation.to_owned())].into();
        Secret {
            metadata: ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() },
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    #[test]
    fn what_was_made_is_kept() {
        let made = keep_or_make(None, "", KINDS).unwrap();
        assert_eq!(made.get("password").len(), 65);
        assert_eq!(keep_or_make(Some(&secret(&made, "")), "", KINDS).unwrap(), made);
    }

    #[test]
    fn a_rotation_makes_new_ones_and_keeps_the_last() {
        let first = keep_or_make(None, "", KINDS).unwrap();
        let second = keep_or_make(Some(&secret(&first, "")), "1", KINDS).unwrap();
        assert_ne!(second.get("password"), first.get("password"));
        assert_eq!(second.previous("password"), Some(first.get("password")));
        assert_eq!(keep_or_make(Some(&secret(&second, "1")), "1", KINDS).unwrap(), second);
        let third = keep_or_make(Some(&secret(&second, "1")), "2", KINDS).unwrap();
        assert_eq!(third.previous("password"), Some(second.get("password")));
    }

    #[test]
    fn what_lasts_is_not_rotated() {
        let kinds = [Entry::rotated("password", password), Entry::lasting("route-password", password)];
        let first = keep_or_make(None, "", &kinds).unwrap();
        let second = keep_or_make(Some(&secret(&first, "")), "1", &kinds).unwrap();
        assert_ne!(second.get("password"), first.get("password"));
        assert_eq!(second.get("route-password"), first.get("route-password"));
        assert_eq!(second.previous("route-password"), None);
    }

    #[test]
    fn an_entry_that_is_missing_is_made_alone() {
        let mut made = keep_or_make(None, "", KINDS).unwrap();
        let password = made.get("password").to_owned();
        made.0.remove("user");
        let again = keep_or_make(Some(&secret(&made, "")), "", KINDS).unwrap();
        assert_eq!((again.get("password"), again.get("user").len()), (password.as_str(), 41));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let made = keep_or_make(None, "", KINDS).unwrap();
        assert!(!format!("{made:?}").contains(made.get("password")));
    }
}
