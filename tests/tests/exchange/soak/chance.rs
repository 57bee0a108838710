//! Random numbers from a seed: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).

pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`; lists here are so short that no number is noticeably likelier.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    pub(super) fn shuffle<T>(&mut self, all: &mut [T]) {
        for end in (1..all.len()).rev() {
            all.swap(end, self.below(end + 1));
        }
    }
}

#[test]
fn the_seed_alone_decides() {
    let drawn = |seed| {
        let mut chance = Chance::new(seed);
        let mut all: Vec<u32> = (0..50).collect();
        chance.shuffle(&mut all);
        (all, (0..50).map(|_| chance.below(7)).collect::<Vec<_>>())
    };
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
    assert_eq!(
        Chance::new(1_234_567).next(),
        6_457_827_717_110_365_317,
        "the published first number"
    );
}
