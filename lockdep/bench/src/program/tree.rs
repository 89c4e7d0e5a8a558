//! A B+ tree with lock coupling: each node has a readers-writer lock, and whoever walks down lets go of a node once it has the
//! child. The levels are subclasses of one class, as Linux would have it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use fastrand::Rng;
use lockdep::{LockClass, RwLock, RwLockReadGuard, RwLockWriteGuard, Subclass};

const THREADS: u64 = 4;
const OPERATIONS: u64 = 250_000;
const KEYS: u64 = 100_000;
/// How many children or keys a node has at most.
const WIDTH: usize = 32;

static NODE: LockClass = LockClass::new("node");

type Link = Arc<RwLock<Node>>;

enum Node {
    /// Children, each with the least key that may be below it.
    Inner(Vec<(u64, Link)>),
    Leaf(Vec<(u64, u64)>),
}

impl Node {
    fn link(self) -> Link {
        Arc::new(RwLock::new_in(&NODE, self))
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Inner(children) => children.len() >= WIDTH,
            Self::Leaf(values) => values.len() >= WIDTH,
        }
    }

    /// Takes the upper half off.
    fn split(&mut self) -> (u64, Self) {
        match self {
            Self::Inner(children) => {
                let upper = children.split_off(WIDTH / 2);
                (upper[0].0, Self::Inner(upper))
            }
            Self::Leaf(values) => {
                let upper = values.split_off(WIDTH / 2);
                (upper[0].0, Self::Leaf(upper))
            }
        }
    }
}

fn child_of(children: &[(u64, Link)], key: u64) -> usize {
    children.partition_point(|child| child.0 <= key).saturating_sub(1)
}

/// A node splits while its parent is locked, which has room for one more; so the root is below a lock of its own.
struct Tree {
    root: RwLock<Link>,
}

impl Tree {
    fn new() -> Self {
        Self { root: RwLock::new(Node::Leaf(Vec::new()).link()) }
    }

    fn get(&self, key: u64) -> Option<u64> {
        let root = self.root.read();
        let node = root.clone();
        let guard = node.read_nested(Subclass::new(0));
        drop(root);
        get_below(guard, key, 1)
    }

    fn insert(&self, key: u64, value: u64) {
        let mut root = self.root.write();
        let is_full = root.read_nested(Subclass::new(0)).is_full();
        if is_full {
            let old = root.clone();
            let (least, upper) = old.write_nested(Subclass::new(0)).split();
            *root = Node::Inner(vec![(0, old), (least, upper.link())]).link();
        }
        let node = root.clone();
        let guard = node.write_nested(Subclass::new(0));
        drop(root);
        insert_below(guard, key, value, 1);
    }
}

/// Looks below a node, whose children are at this level.
fn get_below(node: RwLockReadGuard<'_, Node>, key: u64, level: u8) -> Option<u64> {
    let child = match &*node {
        Node::Leaf(values) => {
            let index = values.binary_search_by_key(&key, |value| value.0).ok()?;
            return Some(values[index].1);
        }
        Node::Inner(children) => children[child_of(children, key)].1.clone(),
    };
    let below = child.read_nested(Subclass::new(level));
    drop(node);
    get_below(below, key, level + 1)
}

/// Adds a value below a node that is not full and whose children are at this level.
fn insert_below(mut node: RwLockWriteGuard<'_, Node>, key: u64, value: u64, level: u8) {
    let children = match &mut *node {
        Node::Leaf(values) => {
            match values.binary_search_by_key(&key, |value| value.0) {
                Ok(index) => values[index].1 = value,
                Err(index) => values.insert(index, (key, value)),
            }
            return;
        }
        Node::Inner(children) => children,
    };
    let index = child_of(children, key);
    let mut child = children[index].1.clone();
    let mut below = child.write_nested(Subclass::new(level));
    if below.is_full() {
        let (least, upper) = below.split();
        children.insert(index + 1, (least, upper.link()));
        if key >= least {
            drop(below);
            child = children[index + 1].1.clone();
            below = child.write_nested(Subclass::new(level));
        }
    }
    drop(node);
    insert_below(below, key, value, level + 1);
}

/// Fills a tree and lets threads work on it, nine reads for a write. Returns a number that depends on what they did.
pub fn run() -> u64 {
    let (tree, found) = (Tree::new(), AtomicU64::new(0));
    let mut rng = Rng::with_seed(1);
    (0..KEYS / 2).for_each(|value| tree.insert(rng.u64(..KEYS), value));
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (tree, found) = (&tree, &found);
            scope.spawn(move || {
                let mut rng = Rng::with_seed(seed);
                for value in 0..OPERATIONS {
                    let key = rng.u64(..KEYS);
                    if rng.u8(..10) == 0 {
                        tree.insert(key, value);
                    } else {
                        found.fetch_add(u64::from(tree.get(key).is_some()), Relaxed);
                    }
                }
            });
        }
    });
    assert!((0..KEYS).any(|key| tree.get(key).is_some()), "what is inserted is found");
    found.into_inner()
}
