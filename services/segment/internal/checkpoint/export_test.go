package checkpoint

// Parse is parse, for fuzzing.
var Parse = parse
