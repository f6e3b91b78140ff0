#include "base/error.h"

#include <cerrno>
#include <cstring>

#include <utility>

#include "base/format.h"

namespace husk {

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::invalid: return "invalid";
    case Kind::not_found: return "not_found";
    case Kind::exists: return "exists";
    case Kind::wrong_state: return "wrong_state";
    case Kind::denied: return "denied";
    case Kind::unsupported: return "unsupported";
    case Kind::busy: return "busy";
    case Kind::unavailable: return "unavailable";
    case Kind::cancelled: return "cancelled";
    case Kind::timed_out: return "timed_out";
    case Kind::exhausted: return "exhausted";
    case Kind::internal: return "internal";
  }
  return "internal";
}

Kind kind_of_errno(int err) {
  switch (err) {
    case ENOENT:
    case ESRCH: return Kind::not_found;
    case EEXIST: return Kind::exists;
    case EACCES:
    case EPERM:
    case EROFS: return Kind::denied;
    case ENOSYS:
    case EOPNOTSUPP: return Kind::unsupported;
    case EBUSY:
    case EAGAIN: return Kind::busy;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE: return Kind::exhausted;
    case ETIMEDOUT: return Kind::timed_out;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH: return Kind::unavailable;
    case ECANCELED: return Kind::cancelled;
    default: return Kind::internal;
  }
}

// At its birth: a later hint, of what usually goes wrong at that place, would lead astray. Source: man 2 open.
Error::Error(Kind kind, std::string what, int err) : kind_{kind}, err_{err}, what_{std::move(what)} {
  if (err == EMFILE) hint_ = "this process may not open more files: raise RLIMIT_NOFILE (ulimit -n 1024)";
  if (err == ENFILE) hint_ = "the machine may not open more files: raise the sysctl fs.file-max";
}

Error Error::during(std::string_view step) && {
  what_.insert(0, std::string{step} + ": ");
  return std::move(*this);
}

Error Error::hint(std::string text) && {
  if (hint_.empty()) hint_ = std::move(text);
  return std::move(*this);
}

Error Error::as(Kind kind) && {
  kind_ = kind;
  return std::move(*this);
}

std::string Error::to_string() const {
  std::string text = what_;
  if (err_ != 0) {
    text += ": ";
    text += ::strerrordesc_np(err_) != nullptr ? ::strerrordesc_np(err_) : "unknown error";
  }
  if (!hint_.empty()) text += format_text(" (hint: {})", hint_);
  return text;
}

}  // namespace husk
