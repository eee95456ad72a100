//! CONFIG REWRITE: whatever stands in the file and whatever is in force, what is written gives back what is in force, and
//! writing it once more changes nothing. Comments stay.

use ringkey_core::settings::{Caller, Extent, Setting, Settings, directives, rewrite};
use ringkey_core::words::split_words;

/// Input: text of a configuration file; behind a NUL, lines of pairs for CONFIG SET. The first byte tells whether the text
/// is in force, too, and whether all directives are to be written.
pub fn run(data: &[u8]) {
    let Some((flags, data)) = data.split_first() else { return };
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let text = parts.next().unwrap_or_default();
    let pairs = parts.next().unwrap_or_default();

    let mut settings = Settings::new();
    if flags & 1 == 0 {
        directives(text).flatten().for_each(|directive| drop(settings.apply(&directive)));
    }
    for line in pairs.split(|byte| *byte == b'\n') {
        if let Some([name, value]) = split_words(line).as_deref() {
            let caller = Caller { is_local: true, while_loading: false };
            let _ = settings.set_many(&[(name, value)], caller);
        }
    }
    let extent = if flags & 2 == 0 { Extent::Changed } else { Extent::All };
    let written = rewrite(text, &settings, extent);
    let mut again = Settings::new();
    for directive in directives(&written) {
        let directive = directive.expect("what is written can be read");
        again.apply(&directive).expect("what is written is taken");
    }
    for setting in Setting::ALL {
        assert_eq!(again.value(*setting), settings.value(*setting), "{setting:?}");
    }
    assert_eq!(rewrite(&written, &settings, extent), written, "writing it once more changes nothing");
    let mut lines = written.split(|byte| *byte == b'\n');
    for comment in text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"#")) {
        assert!(lines.any(|line| line == comment), "{:?} is gone", String::from_utf8_lossy(comment));
    }
}
