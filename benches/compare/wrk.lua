-- Makes wrk pause before each request, and print its results as JSON on the last line of its output.
-- Times are in microseconds.

function init(arguments)
  local pace = tonumber(arguments[1])
  if pace then
    delay = function() return pace end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "bytes": %d, "duration": %d, "median": %d, "p99": %d, ' ..
    '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
