//! [`Lists`]: many lists that only grow, in one piece of memory.
//!
//! A search reads list after list, so the elements of one lie side by side; and most lists are short, so that none has
//! an allocation, or more than eight bytes, of its own. A list occupies a block of a power of two; one that outgrows its
//! block moves to a block twice as large, and leaves the old one to the next list that needs one of that size.

/// A list: where it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct List {
    start: u32,
    len: u32,
}

impl List {
    pub(super) const fn len(self) -> usize {
        self.len as usize
    }
}

#[derive(Debug)]
pub(super) struct Lists<T> {
    elements: Vec<T>,
    /// By the logarithm of their size: where the blocks start that no list uses.
    spare: Vec<Vec<u32>>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { elements: Vec::new(), spare: Vec::new() }
    }
}

impl<T: Copy> Lists<T> {
    /// Returns the elements of a list.
    #[inline]
    pub(super) fn get(&self, list: List) -> &[T] {
        &self.elements[list.start as usize..][..list.len()]
    }

    /// Returns the elements of a list, to be changed.
    pub(super) fn get_mut(&mut self, list: List) -> &mut [T] {
        &mut self.elements[list.start as usize..][..list.len()]
    }

    /// Adds an element to the end of a list.
    ///
    /// # Panics
    ///
    /// If there would be 2^32 elements.
    pub(super) fn push(&mut self, list: &mut List, element: T) {
        let len = list.len();
        if len == 0 || len.is_power_of_two() {
            self.enlarge(list, element);
        } else {
            self.elements[list.start as usize + len] = element;
        }
        list.len += 1;
    }

    /// Moves a list whose block is full to a larger one, with one more element.
    fn enlarge(&mut self, list: &mut List, element: T) {
        let len = list.len();
        let size = if len == 0 { 1 } else { 2 * len };
        let old = list.start as usize;
        match self.spare.get_mut(size.ilog2() as usize).and_then(Vec::pop) {
            Some(start) => {
                list.start = start;
                self.elements.copy_within(old..old + len, start as usize);
                self.elements[start as usize + len] = element;
            }
            // The last block becomes larger where it is.
            None if old + len == self.elements.len() && len > 0 => {
                self.elements.resize(old + size, element);
                return;
            }
            None => {
                list.start = u32::try_from(self.elements.len()).expect("fewer than 2^32 links");
                self.elements.extend_from_within(old..old + len);
                self.elements.resize(list.start as usize + size, element);
            }
        }
        if len > 0 {
            let class = len.ilog2() as usize;
            if self.spare.len() <= class {
                self.spare.resize_with(class + 1, Vec::new);
            }
            self.spare[class].push(old as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The twin: a vector for each list.
        #[test]
        fn lists_are_like_vectors(pushes in prop::collection::vec((0usize..7, any::<bool>()), 0..300)) {
            let mut lists = Lists::default();
            let (mut all, mut twins) = ([List::default(); 7], vec![Vec::new(); 7]);
            for (element, (number, again)) in pushes.into_iter().enumerate() {
                lists.push(&mut all[number], element);
                twins[number].push(element);
                if again {
                    lists.get_mut(all[number])[0] += 1000;
                    twins[number][0] += 1000;
                }
                for (list, twin) in all.iter().zip(&twins) {
                    prop_assert_eq!(lists.get(*list), &twin[..]);
                }
            }
            let sizes = twins.iter().filter(|twin| !twin.is_empty()).map(|twin| twin.len().next_power_of_two());
            let spare: usize = lists.spare.iter().enumerate().map(|(class, blocks)| blocks.len() << class).sum();
            prop_assert_eq!(sizes.sum::<usize>() + spare, lists.elements.len(), "every element is of a block");
        }
    }
}
