//! What the documents say, so that a test can do it.

/// A fenced block of a document, by its language and how it begins.
pub(crate) fn block(file: &str, language: &str, beginning: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let fence = format!("```{language}\n{beginning}");
    let (_, rest) = text
        .split_once(&fence)
        .unwrap_or_else(|| panic!("no {fence} in {file}"));
    let (block, _) = rest.split_once("```").unwrap();
    format!("{beginning}{block}")
}
