//! What can be wrong with a member of a request.

/// Why a member of a request cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldProblem {
    /// It is missing or empty.
    Required,
    /// It has fewer characters than required.
    TooShort,
    /// It is longer than allowed.
    TooLong,
    /// It contains a character that is not allowed, or its form is not valid.
    Invalid,
}
