package io.github.flashlla.tornado.device;

/** TornadoVM wraps what went wrong in exceptions that say nothing of it. */
public final class RootCause {
    private RootCause() {}

    /** The message of the innermost exception, on one line. */
    public static String message(Throwable e) {
        Throwable cause = e;
        while (cause.getCause() != null && cause.getCause() != cause) {
            cause = cause.getCause();
        }
        String message = cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
        return message.strip().replaceAll("\\s+", " ");
    }
}
