//! Texts that people enter: lengths, blanks, and invisible characters.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

#[test]
fn names_in_any_script_can_be_shown() {
    for name in [
        "Ada",
        "Åse-Marie d'Été",
        "山田太郎",
        "محمد",
        "نامه\u{200c}ای",
        "क्\u{200d}ष",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "❤\u{fe0f}",
        "Ada \u{2067}محمد\u{2069}",
        "\u{202b}محمد\u{202c}",
        "\u{2067}\u{202a}a\u{202c}\u{2069}",
        "e\u{301}",
    ] {
        assert!(is_presentable(name), "{name}");
    }
}

#[test]
fn what_nobody_can_see_or_what_spills_over_cannot() {
    for name in [
        "\u{200b}",
        "\u{2800}",
        "\u{3164}",
        "\u{202e}",
        "\u{200d}\u{200c}",
        "\u{ad} \u{2060}",
        "\u{e0041}",
        "\u{fe0f}",
        "Ada\u{202e}",
        "\u{2066}Ada",
        "Ada\u{202c}",
        "Ada\u{2069}",
        "\u{2066}\u{202a}Ada\u{2069}\u{202c}",
    ] {
        assert!(!is_presentable(name), "{name:?}");
    }
}

proptest! {
    #[test]
    fn a_text_between_a_control_and_its_end_is_as_good_as_alone(
        text in "[a-z ]{1,10}",
        (begin, end) in select(&[('\u{202a}', '\u{202c}'), ('\u{202e}', '\u{202c}'), ('\u{2066}', '\u{2069}'), ('\u{2068}', '\u{2069}')][..]),
    ) {
        let alone = is_presentable(&text);
        let wrapped = format!("{begin}{text}{end}");
        let begun = format!("{begin}{text}");
        let ended = format!("{text}{end}");
        prop_assert_eq!(is_presentable(&wrapped), alone);
        prop_assert!(!is_presentable(&begun));
        prop_assert!(!is_presentable(&ended));
    }
}
