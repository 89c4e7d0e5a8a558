//! A cache server: threads that answer requests out of sharded caches, each of which forgets what was not asked for the
//! longest time. What a shard has is counted under its lock, in one account for all of them.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

use fastrand::Rng;
use lockdep::{Mutex, RwLock};

const THREADS: u64 = 4;
const SHARDS: usize = 16;
const REQUESTS: u64 = 200_000;
const KEYS: u64 = 200_000;
/// How many values a shard has room for.
const ROOM: usize = 2_000;
/// After so many requests a thread looks at the configuration and adds to the statistics.
const BATCH: u64 = 100;

/// No entry.
const NONE: usize = usize::MAX;

struct Entry {
    key: u64,
    value: Vec<u8>,
    newer: usize,
    older: usize,
}

/// Values in the order in which they were last asked for.
struct Lru {
    places: HashMap<u64, usize>,
    entries: Vec<Entry>,
    newest: usize,
    oldest: usize,
}

impl Lru {
    fn new() -> Self {
        Self { places: HashMap::new(), entries: Vec::new(), newest: NONE, oldest: NONE }
    }

    fn unlink(&mut self, place: usize) {
        let Entry { newer, older, .. } = self.entries[place];
        match newer {
            NONE => self.newest = older,
            newer => self.entries[newer].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entries[older].newer = newer,
        }
    }

    fn link(&mut self, place: usize) {
        (self.entries[place].newer, self.entries[place].older) = (NONE, self.newest);
        match self.newest {
            NONE => self.oldest = place,
            newest => self.entries[newest].newer = place,
        }
        self.newest = place;
    }

    fn get(&mut self, key: u64) -> Option<u64> {
        let place = *self.places.get(&key)?;
        self.unlink(place);
        self.link(place);
        Some(self.entries[place].value.len() as u64)
    }

    /// Adds a value. Returns how many bytes more there are, and how many less.
    fn insert(&mut self, key: u64, value: Vec<u8>, room: usize) -> (usize, usize) {
        let (more, mut less) = (value.len(), 0);
        let entry = Entry { key, value, newer: NONE, older: NONE };
        let place = if self.entries.len() < room {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let place = self.oldest;
            self.unlink(place);
            let old = std::mem::replace(&mut self.entries[place], entry);
            self.places.remove(&old.key);
            less = old.value.len();
            place
        };
        self.link(place);
        self.places.insert(key, place);
        (more, less)
    }
}

struct Server {
    shards: Vec<Mutex<Lru>>,
    /// How many bytes all shards have.
    bytes: Mutex<usize>,
    room: RwLock<usize>,
    hits: Mutex<[u64; 2]>,
}

impl Server {
    fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Lru::new())).collect(),
            bytes: Mutex::new(0),
            room: RwLock::new(ROOM),
            hits: Mutex::new([0, 0]),
        }
    }

    /// Answers a request. Returns the length of the answer, and whether it was there.
    fn answer(&self, key: u64, room: usize) -> (u64, bool) {
        let shard = &self.shards[hash(key) as usize % SHARDS];
        if let Some(length) = shard.lock().get(key) {
            return (length, true);
        }
        let value = fetch(key);
        let length = value.len() as u64;
        let mut shard = shard.lock();
        // Another thread may have been faster.
        if shard.get(key).is_none() {
            let (more, less) = shard.insert(key, value, room);
            let mut bytes = self.bytes.lock();
            *bytes = *bytes + more - less;
        }
        (length, false)
    }

    fn work(&self, rng: &mut Rng) -> u64 {
        let mut sum = 0;
        for _ in 0..REQUESTS / BATCH {
            let room = *self.room.read();
            let mut hits = [0, 0];
            for _ in 0..BATCH {
                // Some keys are asked for far more often than others.
                let key = (rng.f64().powi(6) * KEYS as f64) as u64;
                let (length, hit) = self.answer(key, room);
                sum += length;
                hits[usize::from(hit)] += 1;
            }
            let mut all = self.hits.lock();
            all[0] += hits[0];
            all[1] += hits[1];
        }
        sum
    }
}

fn hash(key: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Stands for what is behind the cache: makes a value.
fn fetch(key: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(key);
    (0..64 + key % 64).map(|_| rng.u8(..)).collect()
}

/// Runs the server. Returns a number that depends on what it did.
pub fn run() -> u64 {
    let (server, sum) = (Server::new(), AtomicU64::new(0));
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (server, sum) = (&server, &sum);
            scope.spawn(move || sum.fetch_add(server.work(&mut Rng::with_seed(seed)), Relaxed));
        }
    });
    let [misses, hits] = *server.hits.lock();
    assert_eq!(misses + hits, THREADS * REQUESTS, "every request is counted");
    let held: usize = server
        .shards
        .iter()
        .flat_map(|shard| shard.lock().entries.iter().map(|entry| entry.value.len()).collect::<Vec<_>>())
        .sum();
    assert_eq!(*server.bytes.lock(), held, "every byte is counted");
    sum.into_inner() + hits
}
