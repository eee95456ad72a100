# Sums up the output of one unit of Valkey's suite. In: the output. Out: a report; the counts go to the file `counts`.
#
# Every message of the suite starts a line with `[word]: `, with colours when it thinks it has a terminal. A test that
# failed is `[err]: NAME in FILE.tcl` and then the reason; an `[err]` without a file is code outside any test that failed,
# and with it the rest of its block did not run.
function flush_failure(   text) {
  if (!pending) return
  # The suite cuts ten characters off errors that are no assertion, but repeats them in full as the next line.
  text = lines[1]
  if (count >= 2 && length(lines[2]) > length(text) && substr(lines[2], length(lines[2]) - length(text) + 1) == text)
    text = lines[2]
  if (pending == "failed") found[++failures] = "  FAILED   " name " -- " substr(text, 1, 300)
  else found[++failures] = "  ABORTED  " substr(length(text) > length(name) ? text : name, 1, 300)
  pending = ""
  wordless = 0
}
{ gsub(/\033\[[0-9;]*m/, ""); sub(/\r$/, "") }
/^\[runner\]: / { flush_failure(); status = $2; seconds = $3; next }
ended { next } # the suite repeats its failures after "The End"
/^ +The End$/ { flush_failure(); ended = 1; next }
/^\[ok\]: / { flush_failure(); passed++; next }
/^\[skip\]: / { flush_failure(); skipped++; next }
/^\[ignore\]: / { flush_failure(); ignored++; next }
/^\[err\]: .* in tests\/.*\.tcl$/ {
  flush_failure()
  failed++; pending = "failed"; count = 0; lines[1] = lines[2] = ""
  name = substr($0, 8); sub(/ in tests\/[^ ]*\.tcl$/, "", name)
  next
}
/^\[(err|exception|TIMEOUT)\]: / {
  flush_failure()
  cut++; pending = "aborted"; count = 1; lines[2] = ""
  name = $0; sub(/^\[err\]: /, "", name)
  lines[1] = name
  next
}
/^\[[a-z0-9\/ ]+\]: |^Killing still running|^Logged |^Testing / { flush_failure(); next }
pending == "aborted" && /^ERROR:$/ { wordless = 1; next }
pending == "aborted" && wordless && NF && !/^###/ { lines[1] = name ": " $0; wordless = 0 }
pending && NF && count < 2 { lines[++count] = $0 }
END {
  flush_failure()
  if (!ended && !cut) {
    cut++
    found[++failures] = "  ABORTED  the suite stopped before its end" (status != "" ? " (status " status ")" : "") ": " $0
  }
  if (passed + failed + skipped + cut == 0) { cut++; found[++failures] = "  ABORTED  no test ran" }
  printf "%s: %d passed, %d failed, %d skipped, %d left out by tags, %d cut short (%d s)\n",
    unit, passed, failed, skipped, ignored, cut, seconds
  for (i = 1; i <= failures; i++) print found[i]
  print passed + 0, failed + 0, skipped + 0, cut + 0 > counts
}
