//! A pool of numbered items in chunks of fixed size, so that growing never copies more than the list of chunks.

/// Items per chunk in what there is one of per database and core.
pub(super) const CHUNK: usize = 32;

/// Items per chunk in what there may be a million of.
pub(super) const SMALL_CHUNK: usize = 8;

/// Items that are found by number, `SIZE` of them in a chunk. A freed number is used again.
#[derive(Debug)]
pub(super) struct Chunks<T, const SIZE: usize = CHUNK> {
    chunks: Vec<Box<[T; SIZE]>>,
    free: Vec<u32>,
    /// How many numbers were ever given out.
    used: u32,
}

impl<T: Default, const SIZE: usize> Chunks<T, SIZE> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), used: 0 }
    }

    /// Puts an item in and tells its number.
    pub(super) fn add(&mut self, item: T) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = self.used;
            if index as usize == self.chunks.len() * SIZE {
                self.chunks.push(Box::new(std::array::from_fn(|_| T::default())));
            }
            self.used += 1;
            index
        });
        *self.get_mut(index) = item;
        index
    }

    /// Takes an item out. Its number is given to the next that is added.
    pub(super) fn take(&mut self, index: u32) -> T {
        self.free.push(index);
        let item = std::mem::take(self.get_mut(index));
        if self.live() == 0 {
            *self = Self::new();
        }
        item
    }

    /// Takes an item out, and gives its number to the item with the highest one: so all numbers below the bound are in
    /// use, if nothing else takes items out. The answer: did another item move to the number?
    pub(super) fn swap_remove(&mut self, index: u32) -> (T, bool) {
        debug_assert!(self.free.is_empty(), "numbers are either freed or taken over");
        let last = self.pop().expect("there is an item");
        if self.chunks.capacity() > 16 + 4 * self.chunks.len() {
            self.chunks.shrink_to(2 * self.chunks.len());
        }
        if index == self.used {
            return (last, false);
        }
        (std::mem::replace(self.get_mut(index), last), true)
    }

    /// Numbers below this one may be in use; freed ones hold the default.
    #[inline]
    pub(super) const fn bound(&self) -> u32 {
        self.used
    }

    /// How many items there are.
    pub(super) fn live(&self) -> usize {
        self.used as usize - self.free.len()
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> &T {
        &self.chunks[index as usize / SIZE][index as usize % SIZE]
    }

    /// The item of a number that may never have been given out.
    #[inline]
    pub(super) fn try_get(&self, index: u32) -> Option<&T> {
        Some(&self.chunks.get(index as usize / SIZE)?[index as usize % SIZE])
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> &mut T {
        &mut self.chunks[index as usize / SIZE][index as usize % SIZE]
    }

    /// All items; those that are not in use are defaults.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).take(self.used as usize)
    }

    /// The item with the highest number.
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        Some(self.get_mut(self.used.checked_sub(1)?))
    }

    /// Takes out the item with the highest number, and gives memory back chunk by chunk. The numbers of the others
    /// stay valid, but nothing may be added any more.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.used = self.used.checked_sub(1)?;
        let item = std::mem::take(self.get_mut(self.used));
        if (self.used as usize).is_multiple_of(SIZE) {
            self.chunks.pop();
        }
        Some(item)
    }
}
