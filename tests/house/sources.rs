//! The project's source files, and what the compiler reads of them: no comments, no text, no code of tests.

use std::fs;
use std::path::{Path, PathBuf};

/// A file below the project's root.
pub(crate) struct Source {
    /// From the root, as in `src/http/login.rs`.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// All Rust files of these folders, in order of their paths.
pub(crate) fn sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    folders.iter().for_each(|folder| collect(&root.join(folder), &mut files));
    files.sort();
    let read = |file: PathBuf| Source {
        text: fs::read_to_string(&file).unwrap(),
        path: file.strip_prefix(root).unwrap().to_owned(),
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A word, or any other single character.
pub(crate) type Token = String;

/// The tokens of a file without comments and literals.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match literal_or_comment(rest) {
            Some(length) => length,
            None if is_word(first) => {
                let word: String = rest.chars().take_while(|c| is_word(*c)).collect();
                let length = word.len();
                tokens.push(word);
                length
            }
            None => {
                if !first.is_whitespace() {
                    tokens.push(first.to_string());
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the comment or literal that begins here, if one does.
fn literal_or_comment(text: &str) -> Option<usize> {
    let until = |text: &str, end: &str| text.find(end).map_or(text.len(), |at| at + end.len());
    if text.starts_with("//") {
        return Some(until(text, "\n"));
    }
    if text.starts_with("/*") {
        return Some(until(text, "*/"));
    }
    if let Some(raw) = text.strip_prefix("br").or_else(|| text.strip_prefix('r')) {
        let fence: String = raw.chars().take_while(|c| *c == '#').collect();
        if let Some(body) = raw[fence.len()..].strip_prefix('"') {
            let opening = text.len() - body.len();
            return Some(opening + until(body, &format!("\"{fence}")));
        }
    }
    let quote = text.strip_prefix('b').unwrap_or(text);
    if let Some(body) = quote.strip_prefix('"') {
        return Some(text.len() - body.len() + closing_quote(body, '"')?);
    }
    let body = quote.strip_prefix('\'')?;
    let mut characters = body.chars();
    // A character has a closing quote; what has none is a lifetime.
    let is_character = characters.next() == Some('\\') || characters.next() == Some('\'');
    is_character.then(|| Some(text.len() - body.len() + closing_quote(body, '\'')?))?
}

fn closing_quote(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in body.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// What is compiled into the program, and the names of the modules that are only compiled into tests.
pub(crate) struct Product {
    pub(crate) tokens: Vec<Token>,
    pub(crate) test_modules: Vec<String>,
}

/// Takes out every item under `#[cfg(test)]`.
pub(crate) fn product(text: &str) -> Product {
    let all = tokens(text);
    let (mut kept, mut test_modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < all.len() {
        const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
        if all[at..].iter().zip(MARK).filter(|(token, mark)| token == mark).count() < MARK.len() {
            kept.push(all[at].clone());
            at += 1;
            continue;
        }
        let item = &all[at + MARK.len()..];
        let length = length_of_item(item);
        if let Some(place) = item[..length].iter().position(|token| token == "mod") {
            test_modules.push(item[place + 1].clone());
        }
        at += MARK.len() + length;
    }
    Product { tokens: kept, test_modules }
}

/// To its semicolon, or to the end of its braces.
fn length_of_item(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token == "}" {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[test]
fn comments_and_literals_are_no_tokens() {
    let text = r##"let a = "x // \" {"; // no
        /* no */ let b: &'static str = r#"raw " {"#; let c = ['{', '\'', b'}'];"##;
    let expected = "let a = ; let b : & ' static str = ; let c = [ , , ] ;";
    assert_eq!(tokens(text).join(" "), expected);
}

#[test]
fn code_of_tests_is_left_out() {
    let text = "use a; #[cfg(test)] mod tests { fn f() { [1]; } } #[cfg(test)] mod kit; #[cfg(unix)] use b;";
    let product = product(text);
    assert_eq!(product.tokens.join(" "), "use a ; # [ cfg ( unix ) ] use b ;");
    assert_eq!(product.test_modules, ["tests", "kit"]);
}
