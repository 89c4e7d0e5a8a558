//! A sharded hash map, as dashmap is one, shared by threads that mostly read it.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

use fastrand::Rng;
use lockdep::RwLock;

const SHARDS: usize = 64;
const THREADS: u64 = 4;
const KEYS: u64 = 100_000;
const OPERATIONS: u64 = 400_000;

/// A map from numbers to text, a lock a shard.
struct ShardedMap {
    shards: Vec<RwLock<HashMap<u64, String>>>,
    hasher: RandomState,
}

impl ShardedMap {
    fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::new(HashMap::new())).collect(), hasher: RandomState::new() }
    }

    fn shard(&self, key: u64) -> &RwLock<HashMap<u64, String>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn insert(&self, key: u64, value: String) -> Option<String> {
        self.shard(key).write().insert(key, value)
    }

    fn remove(&self, key: u64) -> Option<String> {
        self.shard(key).write().remove(&key)
    }

    fn length_of(&self, key: u64) -> Option<usize> {
        self.shard(key).read().get(&key).map(String::len)
    }

    /// Moves a value, under the locks of both shards; the one with the lower index first.
    fn rename(&self, from: u64, to: u64) {
        let [from_shard, to_shard] = [from, to].map(|key| self.hasher.hash_one(key) as usize % SHARDS);
        if from_shard == to_shard {
            let mut shard = self.shards[from_shard].write();
            if let Some(value) = shard.remove(&from) {
                shard.insert(to, value);
            }
            return;
        }
        let mut low = self.shards[from_shard.min(to_shard)].write();
        let mut high = self.shards[from_shard.max(to_shard)].write();
        let (source, target) = if from_shard < to_shard { (&mut low, &mut high) } else { (&mut high, &mut low) };
        if let Some(value) = source.remove(&from) {
            target.insert(to, value);
        }
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }
}

/// Fills a map and lets threads work on it. Returns a number that depends on what they did.
pub fn run() -> u64 {
    let map = ShardedMap::new();
    for key in 0..KEYS / 2 {
        map.insert(key, format!("value {key}"));
    }
    let found = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (map, found) = (&map, &found);
            scope.spawn(move || {
                found.fetch_add(work(map, &mut Rng::with_seed(number)), Relaxed);
            });
        }
    });
    found.into_inner() + map.len() as u64
}

fn work(map: &ShardedMap, rng: &mut Rng) -> u64 {
    let mut found = 0;
    for _ in 0..OPERATIONS {
        let key = rng.u64(..KEYS);
        match rng.u8(..100) {
            0..4 => drop(map.insert(key, format!("value {key}"))),
            4..8 => drop(map.remove(key)),
            8..10 => map.rename(key, rng.u64(..KEYS)),
            _ => found += map.length_of(key).map_or(0, |length| length as u64),
        }
    }
    found
}
