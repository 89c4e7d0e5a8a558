//! Two locks of one class at once: forbidden, until the code says which one nests in which.

use lockdep::{LockClass, Mutex, Policy, Subclass};

static DIRECTORY: LockClass = LockClass::new("directory");
const CHILD: Subclass = Subclass::new(1);

fn main() {
    lockdep::set_policy(Policy::Print);
    let root = Mutex::new_in(&DIRECTORY, vec!["home"]);
    let home = Mutex::new_in(&DIRECTORY, vec!["ada"]);

    println!("parent and child with the level named: silent");
    for _ in 0..2 {
        let parent = root.lock();
        let child = home.lock_nested(CHILD);
        assert_eq!(parent[0], "home");
        assert_eq!(child[0], "ada");
    }

    println!("the same without: reported");
    {
        let _parent = root.lock();
        let _child = home.lock();
    }

    println!("a row of locks that one line constructs needs no levels, only one order");
    let shards: Vec<Mutex<u32>> = (0..4).map(Mutex::new).collect();
    let guards: Vec<_> = shards.iter().map(Mutex::lock).collect();
    assert_eq!(guards.iter().map(|guard| **guard).sum::<u32>(), 6);
    drop(guards);

    println!("{} finding(s)", lockdep::take_reports().len());
}
