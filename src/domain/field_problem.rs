//! What can be wrong with a member of a request.

/// Why a member of a request cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldProblem {
    /// Nothing is there.
    Required,
    /// Fewer characters than asked for.
    TooShort,
    /// More than fits.
    TooLong,
    /// A character that may not be there, or no such form.
    Invalid,
}
