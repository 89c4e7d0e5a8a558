//! Who holds a lock and who queues for it: a value, which waits for nobody.
//!
//! Fair as the kernel's rwsem: whoever comes while somebody queues goes to the end of the queue, and a release hands the
//! lock to the head of the queue (one writer, or all readers up to the next writer). Trylocks fail while anybody queues.

use std::collections::VecDeque;

use lockdep::Acquire;

use super::trace::Way;
use crate::sched::ActorId;

/// How a lock is wanted or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Read,
    Write,
}

impl Want {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    pub(super) const fn way(self) -> Way {
        match self {
            Self::Read => Way::Read,
            Self::Write => Way::Write,
        }
    }

    pub(super) const fn how(self) -> Acquire {
        match self {
            Self::Read => Acquire::shared(),
            Self::Write => Acquire::exclusive(),
        }
    }
}

/// Who holds a lock, and who queues for it.
#[derive(Default)]
pub(super) struct State {
    pub(super) writer: Option<ActorId>,
    pub(super) readers: Vec<ActorId>,
    pub(super) queue: VecDeque<(ActorId, Want)>,
    pub(super) is_destroyed: bool,
}

impl State {
    fn is_free_for(&self, want: Want) -> bool {
        self.writer.is_none() && (want == Want::Read || self.readers.is_empty())
    }

    fn grant(&mut self, actor: ActorId, want: Want) {
        match want {
            Want::Read => self.readers.push(actor),
            Want::Write => self.writer = Some(actor),
        }
    }

    pub(super) fn try_take(&mut self, actor: ActorId, want: Want) -> bool {
        let free = self.queue.is_empty() && self.is_free_for(want);
        if free {
            self.grant(actor, want);
        }
        free
    }

    /// Takes the lock from its holder. Returns whether it was one.
    pub(super) fn drop_hold(&mut self, actor: ActorId, want: Want) -> bool {
        match want {
            Want::Read => match self.readers.iter().rposition(|&reader| reader == actor) {
                Some(index) => {
                    self.readers.swap_remove(index);
                    true
                }
                None => false,
            },
            Want::Write => self.writer.take_if(|writer| *writer == actor).is_some(),
        }
    }

    /// Returns whom somebody in the queue has to wait for.
    pub(super) fn blockers(&self, actor: ActorId) -> Vec<ActorId> {
        let Some(at) = self.queue.iter().position(|(other, _)| *other == actor) else { return Vec::new() };
        let want = self.queue[at].1;
        let excludes = |other: Want| want == Want::Write || other == Want::Write;
        let readers = self.readers.iter().filter(|_| excludes(Want::Read));
        let before = self.queue.range(..at).filter(|(_, other)| excludes(*other)).map(|(other, _)| other);
        self.writer.iter().chain(readers).chain(before).copied().collect()
    }

    /// Hands the lock to the head of the queue. Returns who got it.
    pub(super) fn hand_over(&mut self) -> Vec<ActorId> {
        let mut woken = Vec::new();
        while let Some(&(actor, want)) = self.queue.front()
            && self.is_free_for(want)
        {
            self.queue.pop_front();
            self.grant(actor, want);
            woken.push(actor);
        }
        woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ActorId = ActorId(0);
    const B: ActorId = ActorId(1);
    const C: ActorId = ActorId(2);

    #[test]
    fn a_reader_queues_behind_a_waiting_writer() {
        let mut state = State::default();
        assert!(state.try_take(A, Want::Read));
        assert!(!state.try_take(B, Want::Write));
        state.queue.push_back((B, Want::Write));
        assert!(!state.try_take(C, Want::Read), "fair: the writer is first");
        state.queue.push_back((C, Want::Read));
        assert!(state.drop_hold(A, Want::Read));
        assert_eq!(state.hand_over(), [B]);
        assert!(state.drop_hold(B, Want::Write));
        assert_eq!(state.hand_over(), [C]);
    }

    #[test]
    fn who_queues_waits_for_holders_and_for_writers_before_it() {
        let mut state = State::default();
        assert!(state.try_take(A, Want::Read));
        state.queue.extend([(B, Want::Write), (C, Want::Read)]);
        assert_eq!(state.blockers(B), [A]);
        assert_eq!(state.blockers(C), [B], "a reader does not exclude it, the writer before it does");
        assert_eq!(state.blockers(A), []);
    }

    #[test]
    fn readers_at_the_head_enter_together() {
        let mut state = State::default();
        assert!(state.try_take(A, Want::Write));
        state.queue.extend([(B, Want::Read), (C, Want::Read)]);
        assert!(state.drop_hold(A, Want::Write));
        assert_eq!(state.hand_over(), [B, C]);
        assert!(!state.drop_hold(A, Want::Read), "the mode must match");
    }
}
