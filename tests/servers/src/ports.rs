//! Ports that nobody else takes, for as long as they are reserved.

use std::{net::TcpListener, ops::Range};

/// As many as any server needs, and one more that is held.
const BLOCK: u16 = 16;
/// Below those that the system gives to clients.
const FIRST: u16 = 10_100;
const BLOCKS: u16 = 1200;

/// Fifteen ports in a row. Servers begin to listen late, so that a port that is free now says nothing: whoever holds the
/// sixteenth has them all.
#[derive(Debug)]
pub struct Ports {
    first: u16,
    _held: TcpListener,
}

impl Ports {
    pub fn reserve() -> Self {
        loop {
            let first = FIRST + (uuid::Uuid::new_v4().as_u128() % u128::from(BLOCKS)) as u16 * BLOCK;
            let bind = |port| TcpListener::bind(("127.0.0.1", port));
            let Ok(held) = bind(first + BLOCK - 1) else { continue };
            let ports = Self { first, _held: held };
            if ports.all().all(|port| bind(port).is_ok()) {
                return ports;
            }
        }
    }

    pub fn first(&self) -> u16 {
        self.first
    }

    pub fn all(&self) -> Range<u16> {
        self.first..self.first + BLOCK - 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_reserved_is_given_to_nobody_else() {
        let reserved: Vec<Ports> = (0..200).map(|_| Ports::reserve()).collect();
        let all: BTreeSet<u16> = reserved.iter().flat_map(Ports::all).collect();
        assert_eq!(all.len(), 200 * 15);
    }
}
