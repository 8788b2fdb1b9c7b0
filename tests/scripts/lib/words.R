count <- function(files) sum(vapply(files, function(name) sum(lengths(regmatches(l <- readLines(name), gregexpr("muon", l)))), 1L))
