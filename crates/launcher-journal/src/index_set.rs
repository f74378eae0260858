//! A set of numbers that mostly follow one another, in few bytes.

/// A set of `u32`, kept as ranges.
///
/// The messages of a Megolm session are numbered from zero, and nearly all of
/// them arrive, so one range is the usual case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexSet {
    /// First and last of each range, in order; between two of them at least
    /// one number is missing.
    ranges: Vec<(u32, u32)>,
}

/// Bytes that are no [`IndexSet`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a set of message indexes is damaged")]
pub(crate) struct DamagedSet;

impl IndexSet {
    /// Whether `index` is in the set.
    pub(crate) fn contains(&self, index: u32) -> bool {
        self.ranges.get(self.place(index)).is_some_and(|&(first, _)| first <= index)
    }

    /// Adds `index`; false if it was there.
    pub(crate) fn insert(&mut self, index: u32) -> bool {
        if self.contains(index) {
            return false;
        }
        let place = self.place(index);
        let joins_next =
            self.ranges.get(place).is_some_and(|&(first, _)| index.checked_add(1) == Some(first));
        let before = place.checked_sub(1).and_then(|before| self.ranges.get_mut(before));
        match before.filter(|(_, last)| last.checked_add(1) == Some(index)) {
            Some((_, last)) if joins_next => {
                let (_, end) = self.ranges.remove(place);
                self.ranges[place - 1].1 = end;
            }
            Some((_, last)) => *last = index,
            None if joins_next => self.ranges[place].0 = index,
            None => self.ranges.insert(place, (index, index)),
        }
        true
    }

    /// The set as bytes: for each range, how many numbers are missing before it
    /// (beyond the one that must) and how many follow its first.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut least = 0;
        for &(first, last) in &self.ranges {
            write_varint(&mut bytes, first - least);
            write_varint(&mut bytes, last - first);
            least = last.saturating_add(2);
        }
        bytes
    }

    /// Reads what [`IndexSet::encode`] wrote.
    ///
    /// # Errors
    ///
    /// If it did not write this.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, DamagedSet> {
        let mut ranges = Vec::new();
        let mut least = Some(0_u32);
        while !bytes.is_empty() {
            let first = least.and_then(|least| least.checked_add(read_varint(&mut bytes)?));
            let last = first.and_then(|first| first.checked_add(read_varint(&mut bytes)?));
            let (Some(first), Some(last)) = (first, last) else { return Err(DamagedSet) };
            ranges.push((first, last));
            least = last.checked_add(2);
        }
        Ok(Self { ranges })
    }

    /// The place of the first range that does not end before `index`.
    fn place(&self, index: u32) -> usize {
        self.ranges.partition_point(|&(_, last)| last < index)
    }
}

/// Seven bits a byte, the lowest first; all bytes but the last have the highest bit.
fn write_varint(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return u32::try_from(value).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A pseudo-random generator (xorshift), so that a failure can be repeated.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> u32 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 16) as u32
        }
    }

    #[test]
    fn it_agrees_with_an_ordinary_set_whatever_is_put_in() {
        for seed in 1..200_u64 {
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ seed);
            let span = [3, 20, 300, u32::MAX][dice.roll() as usize % 4];
            let offset = if dice.roll().is_multiple_of(2) { 0 } else { u32::MAX - span };
            let (mut set, mut model) = (IndexSet::default(), BTreeSet::new());
            for _ in 0..200 {
                let index = offset + dice.roll() % span + dice.roll() % 2;
                assert_eq!(set.contains(index), model.contains(&index), "seed {seed}");
                assert_eq!(set.insert(index), model.insert(index), "seed {seed}");
                assert!(set.contains(index), "seed {seed}");
            }
            for &index in &model {
                for near in [index.saturating_sub(1), index, index.saturating_add(1)] {
                    assert_eq!(set.contains(near), model.contains(&near), "seed {seed}");
                }
            }
            assert_eq!(IndexSet::decode(&set.encode()), Ok(set), "seed {seed}");
        }
    }

    #[test]
    fn neighbours_become_one_range() {
        let mut set = IndexSet::default();
        for index in [5, 3, 4, 0, 2, 1, u32::MAX] {
            assert!(set.insert(index));
        }
        assert_eq!(set.ranges, [(0, 5), (u32::MAX, u32::MAX)]);
    }

    #[test]
    fn a_whole_session_takes_three_bytes() {
        let mut set = IndexSet::default();
        (0..1_000).for_each(|index| assert!(set.insert(index)));
        assert_eq!(set.encode().len(), 3);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_another_set_but_never_a_panic() {
        let cases: [&[u8]; 5] = [
            &[0x80],
            &[0],
            &[0, 0x80],
            &[0xff, 0xff, 0xff, 0xff, 0x1f, 0],
            &[0xff, 0xff, 0xff, 0xff, 0x0f, 1],
        ];
        for bytes in cases {
            assert_eq!(IndexSet::decode(bytes), Err(DamagedSet), "{bytes:?}");
        }
        let mut dice = Dice(7);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..dice.roll() % 12).map(|_| dice.roll() as u8).collect();
            if let Ok(set) = IndexSet::decode(&bytes) {
                assert_eq!(IndexSet::decode(&set.encode()), Ok(set), "{bytes:?}");
            }
        }
    }
}
