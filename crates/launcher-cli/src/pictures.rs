//! What two sides of a verification compare or scan, drawn with characters.

use launcher_control::wire::EmojiReply;
use qrcode::{Color, EcLevel, QrCode, Version, bits::Bits};

use crate::table::harmless;

/// How many light modules there have to be on each side of a code (ISO/IEC 18004).
const QUIET: usize = 4;

/// True black on true white, whatever the terminal's own colors are.
const DARK_ON_LIGHT: &str = "\u{1b}[38;5;16;48;5;231m";
const AS_BEFORE: &str = "\u{1b}[0m";

/// Emojis in a row, their names below.
pub(crate) fn emojis(emojis: &[EmojiReply]) -> String {
    // Terminals show them two columns wide.
    const WIDE: usize = 2;
    let (mut pictures, mut names) = (String::new(), String::new());
    for emoji in emojis {
        let (picture, name) = (harmless(&emoji.symbol), harmless(&emoji.description));
        let width = name.chars().count().max(WIDE) + 3;
        let rest = width - WIDE;
        pictures.push_str(&format!("{picture}{:rest$}", ""));
        names.push_str(&format!("{name:width$}"));
    }
    format!("{}\n{}\n", pictures.trim_end(), names.trim_end())
}

/// A QR code, two rows of modules a line; `None` if no code is large enough.
///
/// `colored` makes it dark on light on every terminal; without that it is so on
/// paper, and wherever text is dark on light.
pub(crate) fn code(content: &[u8], colored: bool) -> Option<String> {
    let code = encode(content)?;
    let size = code.width();
    let colors = code.into_colors();
    let is_dark = |x: usize, y: usize| {
        let (Some(x), Some(y)) = (x.checked_sub(QUIET), y.checked_sub(QUIET)) else { return false };
        x < size && y < size && colors.get(y * size + x) == Some(&Color::Dark)
    };
    let side = size + 2 * QUIET;
    let mut drawn = String::new();
    for y in (0..side).step_by(2) {
        let line = (0..side).map(|x| match (is_dark(x, y), is_dark(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        });
        let line: String = line.collect();
        match colored {
            true => drawn.push_str(&format!("{DARK_ON_LIGHT}{line}{AS_BEFORE}\n")),
            false => drawn.push_str(&format!("{line}\n")),
        }
    }
    Some(drawn)
}

/// One segment of bytes: clients take a code of several segments for text.
fn encode(content: &[u8]) -> Option<QrCode> {
    (1..=40).find_map(|version| {
        let mut bits = Bits::new(Version::Normal(version));
        bits.push_byte_data(content).ok()?;
        bits.push_terminator(EcLevel::L).ok()?;
        QrCode::with_bits(bits, EcLevel::L).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emojis_stand_above_their_names() {
        let emoji = |symbol: &str, description: &str| EmojiReply {
            symbol: symbol.to_owned(),
            description: description.to_owned(),
        };
        let row = [
            emoji("🐶", "Dog"),
            emoji("☎️", "Telephone"),
            emoji("🔒", "Lock"),
            emoji("A", "\u{1b}"),
        ];
        assert_eq!(
            emojis(&row),
            "🐶    ☎️          🔒     A\n\
             Dog   Telephone   Lock   \u{fffd}\n"
        );
    }

    #[test]
    fn a_code_is_dark_on_light_with_a_quiet_zone() {
        let drawn = code(b"MATRIX\x02", false).unwrap();
        assert_eq!(
            drawn.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"),
            "\n\
             \n\
             \x20   █▀▀▀▀▀█  █▄█▀ █▀▀▀▀▀█\n\
             \x20   █ ███ █ ▀█ █▀ █ ███ █\n\
             \x20   █ ▀▀▀ █   ▀ █ █ ▀▀▀ █\n\
             \x20   ▀▀▀▀▀▀▀ █▄▀▄█ ▀▀▀▀▀▀▀\n\
             \x20   ██▀▄█▀▀████▀ ▀█▄ ▄▀▄\n\
             \x20    ▀▀ ▄▄▀▀█▀  ▀ ▄▄█▀▀▀▀\n\
             \x20   ▀   ▀▀▀▀▄▀ ▄▀▄▀▄▀▀▀█\n\
             \x20   █▀▀▀▀▀█ ██▀█▄█▀▄▀ ▀▀█\n\
             \x20   █ ███ █ ▀█▄▀ ▀█  █▀█▀\n\
             \x20   █ ▀▀▀ █ █▄▀ ▀ ▄▀▀  ▄▀\n\
             \x20   ▀▀▀▀▀▀▀ ▀ ▀ ▀ ▀   ▀▀▀\n\
             \n"
        );
        let lines: Vec<&str> = drawn.lines().collect();
        // The smallest has 21 modules a side.
        assert!(lines.iter().all(|line| line.chars().count() == 21 + 2 * QUIET));
        assert_eq!(lines.len(), 15);
        assert!(lines[..2].iter().chain(&lines[13..]).all(|line| line.trim().is_empty()));
        assert!(lines.iter().all(|line| line.starts_with("    ") && line.ends_with("    ")));
        // The first of the three large squares: a dark frame around a light one.
        assert!(lines[2].starts_with("    █▀▀▀▀▀█ "));
        let colored = code(b"MATRIX\x02", true).unwrap();
        for (plain, colored) in lines.iter().zip(colored.lines()) {
            assert_eq!(colored, format!("{DARK_ON_LIGHT}{plain}{AS_BEFORE}"));
        }
    }

    #[test]
    fn a_code_has_its_content_as_bytes() {
        // As long as what is in a verification's code, and not text.
        let content: Vec<u8> = (0..140_u8).map(|byte| byte.wrapping_mul(7)).collect();
        assert_eq!(encode(&content).unwrap().version(), Version::Normal(7));
        let drawn = code(&content, false).unwrap();
        assert_eq!(drawn.lines().next().unwrap().chars().count(), 45 + 2 * QUIET);
        assert_eq!(code(&[0; 3000], false), None);
    }
}
