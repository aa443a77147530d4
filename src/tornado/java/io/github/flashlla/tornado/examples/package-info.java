/** Programs that run Local Linear Attention inside task graphs of their own. */
package io.github.flashlla.tornado.examples;
