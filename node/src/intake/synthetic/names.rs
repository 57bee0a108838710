//! Names, papers and numbers that nobody has: made of syllables, marked as synthetic, with right check digits where a
//! number needs one.

use icomm_proto::RecordId;

use super::random::Random;

/// A word of two or three syllables that means nothing.
fn syllables(random: &mut Random) -> String {
    const STARTS: [&str; 16] = [
        "Qua", "Zor", "Vel", "Bri", "Xan", "Tul", "Mek", "Oru", "Fen", "Gly", "Hob", "Jin", "Kra", "Lum", "Nyx", "Pro",
    ];
    const ENDS: [&str; 16] = [
        "bex", "din", "far", "gol", "hum", "kip", "lor", "mat", "nud", "pax", "rok", "sel", "tov", "vim", "wen", "zil",
    ];
    let mut word = random.one_of(&STARTS).to_owned();
    for _ in 0..1 + random.below(2) {
        word.push_str(random.one_of(&ENDS));
    }
    word
}

pub(super) fn family_name(random: &mut Random) -> String {
    format!("Synth-{}", syllables(random))
}

pub(super) fn given_names(random: &mut Random) -> String {
    syllables(random)
}

pub(super) fn company(random: &mut Random) -> String {
    format!("{} Trading (synthetic)", syllables(random))
}

pub(super) fn street(random: &mut Random) -> String {
    format!("{} Synthetic Street", 1 + random.below(240))
}

pub(super) fn city(random: &mut Random) -> String {
    format!("{}ville", syllables(random))
}

pub(super) fn province(random: &mut Random) -> String {
    format!("{} Province (synthetic)", syllables(random))
}

/// A mark that nobody has registered.
pub(super) fn brand(random: &mut Random) -> String {
    format!("{} (synthetic)", syllables(random))
}

/// The id of a record that nobody has.
pub(super) fn record(random: &mut Random) -> String {
    /// 2024-01-01, in ms since 1970, and how long cases are made up for.
    const FROM_MS: u64 = 1_704_067_200_000;
    const SPAN_MS: u64 = 730 * 24 * 60 * 60 * 1000;
    let mut bits = [0; 10];
    for byte in &mut bits {
        *byte = u8::try_from(random.below(256)).unwrap_or_default();
    }
    RecordId::new(FROM_MS + random.below(SPAN_MS), bits).to_string()
}

/// A paper's number: `SYN` and seven digits.
pub(super) fn paper(random: &mut Random) -> String {
    format!("SYN{:07}", random.below(10_000_000))
}

/// A number in the unassigned country code 999.
pub(super) fn phone(random: &mut Random) -> String {
    format!("+999 00 {:06}", random.below(1_000_000))
}

/// A ship's number: six digits from a range and the digit that makes it right (each digit times 7 … 2, summed).
pub(super) fn imo(random: &mut Random) -> String {
    let number = 100_000 + random.below(900_000);
    let digits = format!("{number:06}");
    let sum: u64 = digits
        .bytes()
        .zip((2..=7).rev())
        .map(|(digit, factor)| u64::from(digit - b'0') * factor)
        .sum();
    format!("{digits}{}", sum % 10)
}

/// A container number: owner `SYN`, category `U`, six digits and the check digit of ISO 6346.
pub(super) fn container(random: &mut Random) -> String {
    let number = format!("SYNU{:06}", random.below(1_000_000));
    let sum: u64 = number
        .bytes()
        .zip(0u32..)
        .map(|(byte, place)| letter_value(byte) << place)
        .sum();
    format!("{number}{}", sum % 11 % 10)
}

/// Digits count as themselves, letters from 10 on without the multiples of eleven.
fn letter_value(byte: u8) -> u64 {
    match byte {
        b'0'..=b'9' => u64::from(byte - b'0'),
        b'A' => 10,
        b'B'..=b'K' => u64::from(byte - b'B') + 12,
        b'L'..=b'U' => u64::from(byte - b'L') + 23,
        _ => u64::from(byte.saturating_sub(b'V')) + 34,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits() {
        // The standard's own example is CSQU3054383; of ships, 9074729 is a published one.
        let value = |text: &str| {
            text.bytes()
                .zip(0u32..)
                .map(|(byte, place)| letter_value(byte) << place)
                .sum::<u64>()
                % 11
                % 10
        };
        assert_eq!(value("CSQU305438"), 3);
        let mut random = Random::new(1);
        for _ in 0..50 {
            let imo = imo(&mut random);
            let sum: u32 = imo
                .chars()
                .zip((2..=7).rev())
                .map(|(digit, factor)| digit.to_digit(10).unwrap() * factor)
                .sum();
            assert_eq!(
                (imo.len(), sum % 10),
                (7, imo.chars().last().unwrap().to_digit(10).unwrap())
            );
        }
    }
}
