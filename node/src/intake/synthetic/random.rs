//! A small random source of our own (SplitMix64), so that a seed makes the same file with every version of every crate.

/// A stream of numbers that a seed determines.
pub(super) struct Random(u64);

impl Random {
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

    /// 0 … `bound` - 1; 0 where there is nothing to choose from. The bias by division is far below what anybody could see.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or_default()
    }

    /// True for so many of a thousand.
    pub(super) fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1000) < chance
    }

    /// 0 to 1.
    fn unit(&mut self) -> f64 {
        // 53 bits are what the fraction of an f64 holds.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Around 0, mostly within ±2: three uniform numbers make a bell that is good enough for amounts.
    pub(super) fn bell(&mut self) -> f64 {
        (self.unit() + self.unit() + self.unit() - 1.5) * 2.0
    }

    /// One of the choices, each as likely as its weight says.
    pub(super) fn weighted<T, I: Iterator<Item = (T, u32)>>(&mut self, choices: impl Fn() -> I) -> Option<T> {
        let total: u64 = choices().map(|(_, weight)| u64::from(weight)).sum();
        let mut left = self.below(total);
        choices()
            .find(|(_, weight)| match left.checked_sub(u64::from(*weight)) {
                Some(rest) => {
                    left = rest;
                    false
                }
                None => true,
            })
            .map(|(choice, _)| choice)
    }

    /// One of a table's words.
    pub(super) fn word(&mut self, table: &[(&'static str, u32)]) -> &'static str {
        self.weighted(|| table.iter().copied()).unwrap_or_default()
    }

    /// One of several, all as likely.
    pub(super) fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let place = usize::try_from(self.below(words.len() as u64)).unwrap_or_default();
        words.get(place).copied().unwrap_or_default()
    }
}
